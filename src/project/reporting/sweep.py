"""What Hydra tells of a sweep: each job's start and end, noted in its folder; and the summary at the end."""

import json
import logging
import math
import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, read_write

from headstart.errors import explain
from headstart.files import short, write_atomically
from headstart.machine import terminal
from headstart.runs import JOB_NOTE

from .sweep_files import tables, write_sweep
from .sweep_folder import NO_END, SweepFolder

DIRECTION, SECONDS = "hydra.sweeper.direction", "seconds"
WORDS = {"max": "maximize", "min": "minimize"}  # of Optuna

log = logging.getLogger(__name__)


class SweepTable(Callback):
    """Notes every job's score as it ends. A job that fails is reported and scores NaN, and the others go on.

    Hydra by itself would stop the sweep's evaluation at the first job that failed, with no word on the others. A NaN is
    a failed trial for Optuna, too. Jobs may run in other processes and on other machines, as hydra/launcher=joblib and
    submitit let them: so what became of a job stands in its folder, in `.hydra`, from its start on.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Forget the jobs of a sweep that is gone on with: all come again, unless it is a search, which keeps them."""
        if "direction" in config.hydra.sweeper:
            try:
                look_for_the_best(config)
            except Exception as error:  # which Hydra would make a warning of
                sys.exit(f"error: {explain(error) or error}")
            return
        for path in Path(config.hydra.sweep.dir).rglob(JOB_NOTE):
            path.unlink()

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note a job that will not tell its end if its process is killed."""
        if config.hydra.mode == RunMode.MULTIRUN:
            overrides = list(config.hydra.overrides.task)
            _note(config, {"overrides": overrides, "score": None, "error": NO_END})

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note a job's score, or why it failed."""
        found = job_return._return_value
        if config.hydra.mode != RunMode.MULTIRUN or isinstance(found, SystemExit | KeyboardInterrupt):
            return  # a signal ends the whole sweep
        job = {"overrides": list(job_return.overrides or []), "score": found, "error": None}
        if job_return.status == JobStatus.FAILED:
            job |= {"score": None, "error": explain(found) or repr(found)}
            log.error(f"job failed: {job['error']}", exc_info=None if explain(found) else found)
            job_return.status, job_return.return_value = JobStatus.COMPLETED, math.nan
        _note(config, job)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the sweep's tables, and where its files are; the process ends with 1 when more jobs failed than may.

        A search lets some fail; of a grid, none may.
        """
        sweep, error = SweepFolder(config.hydra.sweep.dir), sys.exception()
        failed = sum(job.error is not None for job in sweep.jobs)
        stopped = error is not None and not isinstance(error, Exception)  # by a signal
        written = [write_sweep(sweep)] if sweep.jobs else []
        if stopped or (error and not failed):  # a config that can't be, or a launcher's own
            return
        pruned = sum(job.status == "pruned" for job in sweep.jobs)
        told = [
            *tables(sweep),
            *map(str, map(short, written)),
            f"{sweep.path}: {len(sweep.jobs)} jobs, {failed} failed" + f", {pruned} pruned" * bool(pruned),
        ]
        terminal().print(*told, sep="\n", soft_wrap=True)
        if not sweep.jobs and "direction" not in config.hydra.sweeper:
            elsewhere = "their processes took another folder for it: is its disk shared, and its path the same there?"
            sys.exit(f"error: no job has left anything in {sweep.path}; {elsewhere}")
        if failed > config.hydra.sweeper.get("max_failure_rate", 0) * len(sweep.jobs):
            why = f"{failed} of {len(sweep.jobs)} jobs failed; {sweep.path / 'sweep.csv'} says why"
            said = explain(error) if error else None
            sys.exit(f"error: {said}; {why}" if said else f"error: {why}")


def look_for_the_best(config: DictConfig) -> None:
    """Tell a search, which minimises by itself, where the best of the monitored metric, or of its objectives, is.

    Ends the process where something else was typed: it would search for the worst.
    """
    from ..model.metrics import direction  # torch, for who has such a sweeper

    objectives = list(config.hydra.sweeper.get("objectives") or [config.monitor])
    best = [WORDS.get(direction(name) or "min" * (name == SECONDS), "") for name in objectives]
    if "" in best:
        unknown = objectives[best.index("")]
        sys.exit(
            f"error: hydra.sweeper.objectives: {unknown} is none; take metrics such as {config.monitor}, or {SECONDS}"
        )
    said = OmegaConf.select(config, DIRECTION)
    if isinstance(said, ListConfig) and "objectives" not in config.hydra.sweeper:
        return  # another's sweeper, which knows by itself what for
    words = [getattr(one, "name", one) for one in (said if isinstance(said, ListConfig) else [said])]
    if words != best:
        if any(one.lstrip("+").startswith(f"{DIRECTION}=") for one in config.hydra.overrides.hydra):
            wanted = f"leave it out, or say {', '.join(best)}"
            sys.exit(f"error: {DIRECTION}={said} looks for the worst of {', '.join(objectives)}: {wanted}")
        with read_write(config.hydra):
            config.hydra.sweeper.direction = best if len(best) > 1 else best[0]
            wanted = f"[{','.join(best)}]" if len(best) > 1 else best[0]
            config.hydra.overrides.hydra.append(f"{DIRECTION}={wanted}")  # which jobs' configs are composed of


def _note(config: DictConfig, job: dict[str, Any]) -> None:
    run_dir, number = Path(config.hydra.runtime.output_dir), config.hydra.job.num
    content = {"job": number, "run_dir": str(run_dir)} | job
    write_atomically(run_dir / JOB_NOTE.replace("*", str(number)), json.dumps(content, indent=2) + "\n")
