"""Hydra's own Optuna sweeper, which counts a study's trials, goes on after a stop, and asks the jobs' folders."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.types import HydraContext
from hydra.utils import instantiate
from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl, create_params_from_overrides
from omegaconf import OmegaConf
from optuna.trial import TrialState

from ...errors import UserError
from ...files import write_atomically
from ...job_configs import quick
from ...machine import usable_cores
from ...runs import SWEEP_CONFIG, folder_of_job, read_results
from .importance import write_importance
from .sampling import SeededByTrial, seeded_sampler
from .study import JOB, OWNER, counted, leave_out, left_open, open_storage, open_study, same_space, tell

log = logging.getLogger(__name__)


class OptunaSearch(OptunaSweeperImpl):
    """A search for the best of `objectives`, over `n_trials` in all, `n_jobs` of them at once.

    A trial's number of job, folder and result are this sweep's; storages may be shared by several sweeps. `timeout`
    (seconds) lets no trial begin later; with more than `max_failure_rate` of `n_trials` failed, none begins at all.
    """

    config: Any  # which `setup` gives it
    launcher: Any

    def __init__(
        self, sampler: Any, objectives: Any, timeout: float | None, custom_search_space: Any, **options: Any
    ) -> None:
        super().__init__(sampler=None, custom_search_space=None, **options)
        self.sampler_config, self.extend = sampler, custom_search_space
        self.objectives, self.timeout = list(objectives or ["score"]), timeout

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: Any) -> None:
        """Take what Hydra gives a sweeper, and give it to the launcher."""
        super().setup(hydra_context=quick(hydra_context), task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until there are enough of them; raises UserError for a search that can't be."""
        self.folder = Path(self.config.hydra.sweep.dir).absolute()
        if not (self.folder / SWEEP_CONFIG).exists():  # what `resume=` goes on with
            write_atomically(self.folder / SWEEP_CONFIG, OmegaConf.to_yaml(self.config))
        told = [*self._parse_sweeper_params_config(), *arguments]
        self.space, self.fixed, self.removed = create_params_from_overrides(told)
        self.space = {name: one for name, one in self.space.items() if name not in self.fixed}
        if self.extend:
            self.custom_search_space_extender = instantiate({"_target_": self.extend, "_partial_": True})
        name = self.study_name or self.folder.name
        storage = open_storage(self.storage, self.folder)
        study = open_study(storage, name, self._get_directions(), self._seeded_sampler())
        if before := counted(study):
            log.info(f"the study {name} has {len(before)} of {self.n_trials} trials already")
        with same_space(name):
            self._search(study)
        write_importance(study, self.folder)

    def _search(self, study: optuna.Study) -> None:
        started, jobs = time.monotonic(), jobs_at_once(self.n_jobs, self.config.hydra.launcher)
        for trial in left_open(study, self.folder):
            self._run(study, {trial.number: trial.user_attrs[JOB]}, [self._overrides(trial.params)])
        own = [one.user_attrs.get(JOB, -1) for one in counted(study) if one.user_attrs.get(OWNER) == str(self.folder)]
        next_job = 1 + max(own, default=-1)
        while (open_trials := self.n_trials - len(counted(study))) > 0:
            if self.timeout is not None and time.monotonic() - started > self.timeout:
                log.warning(f"hydra.sweeper.timeout={self.timeout} is over: {open_trials} trials were not begun")
                return
            asked = [self._ask(study, next_job + number) for number in range(min(open_trials, jobs))]
            trials = [trial for trial in asked if trial]
            numbers = {trial.number: next_job + place for place, trial in enumerate(trials)}
            self._run(study, numbers, [self._overrides(trial.params) for trial in trials])
            next_job += len(trials)
            failed = sum(one.state == TrialState.FAIL for one in counted(study))
            if failed > self.max_failure_rate * self.n_trials:
                allowed = f"hydra.sweeper.max_failure_rate={self.max_failure_rate}"
                raise UserError(f"{failed} of {self.n_trials} trials have failed, and {allowed} allows no more")

    def _ask(self, study: optuna.Study, job: int) -> optuna.Trial | None:
        """A new trial, which will be this job; None when other processes have begun enough by now."""
        trial = study.ask()
        trial.set_user_attr(OWNER, str(self.folder))
        if sum(one.number < trial.number for one in counted(study)) >= self.n_trials:
            leave_out(study, trial, "there were enough trials")
            return None
        for name, distribution in self.space.items():
            trial._suggest(name, distribution)
        if self.custom_search_space_extender:
            self.custom_search_space_extender(self.config, trial)
        if twice := sorted(trial.params.keys() & self.fixed):
            raise UserError(f"{twice[0]} has one value and is searched, too: leave it out of one of the two")
        trial.set_user_attr(JOB, job)
        return trial

    def _overrides(self, params: dict[str, Any]) -> tuple[str, ...]:
        return (*(f"{name}={value}" for name, value in {**params, **self.fixed}.items()), *self.removed)

    def _run(self, study: optuna.Study, jobs: dict[int, int], overrides: Sequence[tuple[str, ...]]) -> None:
        """Launch jobs, by trial, and tell what their folders say of them. What a stop leaves open is gone on with."""
        has_ended = False
        try:
            if jobs:
                self.launcher.launch(overrides, initial_job_idx=min(jobs.values()))
            has_ended = True
        finally:
            for trial, job in jobs.items():
                tell(study, trial, read_results(folder_of_job(self.folder, job)), self.objectives, has_ended)

    def _seeded_sampler(self) -> SeededByTrial:
        """What `hydra.sweeper.sampler` says; a grid has no more trials than points."""
        points = None
        if self.sampler_config._target_.endswith("GridSampler"):
            points = {name: self._to_grid_sampler_choices(one) for name, one in self.space.items()}
            self.n_trials = min(self.n_trials, math.prod(map(len, points.values())))
        return seeded_sampler(self.sampler_config, points)


def jobs_at_once(n_jobs: int | None, launcher: Any) -> int:
    """How many trials are asked for at once: as many as the launcher runs on this machine, unless somebody says."""
    return n_jobs or min(launcher.get("n_jobs") or 1, usable_cores())
