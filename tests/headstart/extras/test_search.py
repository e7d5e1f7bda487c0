"""Searches with Optuna, of `headstart.extras.search`: which trials run, and what is told of them."""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.utils import execution_whitelist
from omegaconf import OmegaConf
from optuna.trial import TrialState

from headstart.errors import UserError
from headstart.extras.search.sampling import SeededByTrial
from headstart.extras.search.study import LEFT_OUT, OWNER, counted, leave_out, left_open, open_storage, open_study
from headstart.extras.search.sweeper import OptunaSearch
from headstart.resume.own_folder import SWEEP, held

Does = Callable[[Path, dict[str, str]], None]
TPE = {"_target_": "optuna.samplers.TPESampler", "seed": 0, "n_startup_trials": 3}


class Killed(BaseException):
    """As if the process were gone."""


def ends(folder: Path, told: dict[str, str]) -> None:
    """A job that ends with a score: the larger `x`, the better."""
    says(folder, score=float(told["x"]))


def says(folder: Path, status: str = "finished", score: float = 0.0) -> None:
    said = {"status": status, "score": score, "metrics": {"val/loss": 1 - score}, "seconds": {"features": 9, "fit": 2}}
    (folder / "results.json").write_text(json.dumps(said))


class Launcher:
    """Runs jobs as Hydra's own does, and notes which."""

    def __init__(self, folder: Path, does: Does) -> None:
        self.folder, self.does, self.launched = folder, does, list[tuple[int, dict[str, str]]]()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        assert job_overrides
        for job, overrides in enumerate(job_overrides, start=initial_job_idx):
            told = dict(one.split("=", 1) for one in overrides)
            self.launched.append((job, told))
            folder = self.folder / str(job)
            (folder / ".hydra").mkdir(parents=True, exist_ok=True)
            (folder / ".hydra" / f"job-{job}.json").write_text("{}")
            self.does(folder, told)
        return [None] * len(job_overrides)


def search(
    folder: Path, does: Does = ends, space: Sequence[str] = ("x=interval(0.0,1.0)",), **options: Any
) -> Launcher:
    """Search, or go on with it, in a sweep's folder; returns what was launched."""
    known: dict[str, Any] = {"sampler": OmegaConf.create(TPE), "direction": "maximize", "n_trials": 6, "n_jobs": None}
    known |= dict.fromkeys(("objectives", "timeout", "custom_search_space", "storage", "study_name", "params"))
    found = OptunaSearch(**(known | {"max_failure_rate": 0.5} | options))
    found.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}, "launcher": {}}})
    found.launcher = launcher = Launcher(folder, does)
    with held(folder, SWEEP), execution_whitelist((f"{__name__}.*",)):
        found.sweep(list(space))
    return launcher


def study_of(folder: Path) -> optuna.Study:
    return open_study(open_storage(None, folder), folder.name, ["maximize"], optuna.samplers.RandomSampler())


def states(folder: Path) -> list[str]:
    return [trial.state.name for trial in study_of(folder).trials]


def killed_in(job: str, status: str = "") -> Does:
    def does(folder: Path, told: dict[str, str]) -> None:
        if folder.name == job:
            if status:
                says(folder, status)
            raise Killed
        ends(folder, told)

    return does


def test_a_search_that_was_killed_goes_on_with_the_trial_it_was_in_and_draws_what_it_would_have(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole").launched
    assert [job for job, _ in whole] == [0, 1, 2, 3, 4, 5]
    assert len({told["x"] for _, told in whole}) == 6
    with pytest.raises(Killed):
        search(tmp_path / "killed", killed_in("2"))
    assert states(tmp_path / "killed") == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert search(tmp_path / "killed").launched == whole[2:]
    assert states(tmp_path / "killed") == ["COMPLETE"] * 6
    assert search(tmp_path / "killed").launched == []
    assert [job for job, _ in search(tmp_path / "killed", n_trials=8).launched] == [6, 7]


@pytest.mark.parametrize(("status", "state"), [("finished", "COMPLETE"), ("pruned", "PRUNED"), ("failed", "FAIL")])
def test_a_job_that_had_ended_before_its_sweep_was_killed_is_not_run_again(
    tmp_path: Path, status: str, state: str
) -> None:
    with pytest.raises(Killed):
        search(tmp_path, killed_in("1", status))
    assert states(tmp_path) == ["COMPLETE", state]
    assert [job for job, _ in search(tmp_path, n_trials=3).launched] == [2]


def test_what_failed_or_was_pruned_counts_and_too_many_failures_end_the_search(tmp_path: Path) -> None:
    def does(folder: Path, told: dict[str, str]) -> None:
        ways = {"0": lambda: None, "1": lambda: says(folder, "pruned"), "2": lambda: says(folder, score=float("nan"))}
        ways.get(folder.name, lambda: ends(folder, told))()

    search(tmp_path / "tolerant", does)
    assert states(tmp_path / "tolerant") == ["FAIL", "PRUNED", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    with pytest.raises(UserError, match=r"^1 of 6 trials have failed, and hydra.sweeper.max_failure_rate=0.1"):
        search(tmp_path / "strict", does, max_failure_rate=0.1)
    assert states(tmp_path / "strict") == ["FAIL"]


def test_trials_of_a_batch_are_launched_together(tmp_path: Path) -> None:
    batches: list[int] = []
    launch = Launcher.launch

    def counting(self: Launcher, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        batches.append(len(job_overrides))
        return launch(self, job_overrides, initial_job_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Launcher, "launch", counting)
        found = search(tmp_path, n_jobs=4)
    assert batches == [4, 2]
    assert [job for job, _ in found.launched] == [0, 1, 2, 3, 4, 5]


def test_a_grid_has_each_point_once(tmp_path: Path) -> None:
    grid = OmegaConf.create({"_target_": "optuna.samplers.GridSampler", "seed": 3})
    space = ["x=choice(1,2,3)", "y=choice(a,b)", "z=7"]

    def stops(folder: Path, told: dict[str, str]) -> None:
        killed_in("3")(folder, told)

    with pytest.raises(Killed):
        search(tmp_path, stops, space, sampler=grid, n_trials=20)
    rest = search(tmp_path, ends, space, sampler=grid, n_trials=20).launched
    told = [trial.params for trial in study_of(tmp_path).trials]
    assert sorted((one["x"], one["y"]) for one in told) == [(x, y) for x in (1, 2, 3) for y in ("a", "b")]
    assert [job for job, _ in rest] == [3, 4, 5]
    assert rest[0][1]["z"] == "7"


def test_several_objectives(tmp_path: Path) -> None:
    found = search(tmp_path, objectives=["val/loss", "seconds"], direction=["minimize", "minimize"], n_trials=3)
    study = open_study(open_storage(None, tmp_path), tmp_path.name, ["minimize"] * 2, optuna.samplers.RandomSampler())
    assert [trial.values for trial in study.trials] == [[1 - float(told["x"]), 2.0] for _, told in found.launched]


def more(_config: Any, trial: optuna.Trial) -> None:
    if trial.params["x"] > 0.5:
        trial.suggest_int("deep", 1, 3)


def test_what_is_searched_may_depend_on_what_was_chosen(tmp_path: Path) -> None:
    found = search(tmp_path, custom_search_space=f"{__name__}.more").launched
    assert {("deep" in told) == (float(told["x"]) > 0.5) for _, told in found} == {True}
    assert 0 < sum("deep" in told for _, told in found) < 6


def test_a_timeout_lets_no_further_trial_begin(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert search(tmp_path, timeout=0.0).launched == []
    assert "hydra.sweeper.timeout=0.0 is over: 6 trials were not begun" in caplog.text


def test_two_sweeps_that_share_a_database_have_the_trials_once_between_them(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    shared: dict[str, Any] = {"storage": storage, "study_name": "shared", "n_trials": 12}
    open_study(open_storage(storage, tmp_path), "shared", ["maximize"], optuna.samplers.RandomSampler())
    found: dict[str, Launcher] = {}

    def run(name: str) -> None:
        found[name] = search(tmp_path / name, **shared)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = open_study(open_storage(storage, tmp_path), "shared", ["maximize"], optuna.samplers.RandomSampler())
    assert [trial.state for trial in counted(study)] == [TrialState.COMPLETE] * 12
    told = [told["x"] for launcher in found.values() for _, told in launcher.launched]
    assert len(told) == len(set(told)) == 12
    assert sum(LEFT_OUT in trial.user_attrs for trial in study.trials) == len(study.trials) - 12 <= 1


def test_what_a_killed_sweep_left_in_a_shared_study_begins_again_and_what_runs_is_left_alone(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"storage": str(tmp_path / "shared.journal"), "study_name": "shared"}
    with pytest.raises(Killed):
        search(tmp_path / "killed", killed_in("1"), **shared)
    study = open_study(open_storage(shared["storage"], tmp_path), "shared", ["maximize"], optuna.samplers.TPESampler())
    with held(tmp_path / "killed", SWEEP):
        assert left_open(study, tmp_path / "other") == []
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]
    seen = study.get_trials(deepcopy=True)[1]
    again = search(tmp_path / "other", **shared).launched
    assert len(again) == 5
    assert float(again[0][1]["x"]) == study.trials[1].params["x"]
    assert study.trials[1].state == TrialState.FAIL
    assert study.trials[1].user_attrs[OWNER] == str(tmp_path / "killed")
    assert [trial.state for trial in counted(study)] == [TrialState.COMPLETE] * 6
    assert not leave_out(study, seen, "by another process that has looked at the same time")


def test_a_trial_that_was_asked_for_and_never_begun_is_left_out(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    study.ask().set_user_attr(OWNER, str(tmp_path))
    assert [job for job, _ in search(tmp_path, n_trials=2).launched] == [0, 1]
    assert states(tmp_path) == ["FAIL", "COMPLETE", "COMPLETE"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:secret@127.0.0.1:1/x", r"hydra.sweeper.storage=postgresql://\.\.\. can't be opened: "),
        ("nosuch://me:secret@host/x", r"hydra.sweeper.storage=nosuch://\.\.\. can't be opened: "),
        ("sqlite:////nowhere/study.db", r"hydra.sweeper.storage=sqlite://\.\.\. can't be opened: .*unable to open"),
    ],
)
def test_a_database_that_is_not_there_is_said_without_its_password(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        open_storage(url, tmp_path)
    assert "secret" not in str(error.value)


def test_a_study_that_was_begun_otherwise_is_not_searched_on(tmp_path: Path) -> None:
    search(tmp_path, space=["x=choice(1,2)"])
    with pytest.raises(UserError, match=r"begun with other choices of a parameter.*study_name$"):
        search(tmp_path, space=["x=choice(1,3)"], n_trials=8)
    with pytest.raises(UserError, match="looks for maximize, and this search for minimize"):
        search(tmp_path, direction="minimize")
    with pytest.raises(UserError, match="x has one value and is searched, too"):
        search(tmp_path / "other", space=["x=1", "z=choice(1,2)"], custom_search_space=f"{__name__}.also_x")


def also_x(_config: Any, trial: optuna.Trial) -> None:
    trial.suggest_int("x", 1, 3)


def test_importances_are_those_of_the_trials_with_a_score(tmp_path: Path) -> None:
    search(tmp_path, space=["x=interval(0.0,1.0)", "y=interval(0.0,1.0)"], n_trials=12)
    found = json.loads((tmp_path / "importance.json").read_text())
    assert list(found) == ["x", "y"]
    assert sum(found.values()) == pytest.approx(1)
    assert not (tmp_path / "few" / "importance.json").exists()


def test_draws_follow_from_the_trials_number_alone() -> None:
    def drawn(trials: int, *before: optuna.trial.FrozenTrial) -> list[float]:
        sampler = SeededByTrial(lambda seed: optuna.samplers.RandomSampler(seed=seed), 5)
        study = optuna.create_study(sampler=sampler)
        study.add_trials(before)
        return [study.ask().suggest_float("x", 0, 1) for _ in range(trials)]

    whole = drawn(4)
    some = optuna.create_study(sampler=optuna.samplers.RandomSampler())
    for _ in range(2):
        some.tell(some.ask(), 0.0)
    assert drawn(2, *some.trials) == whole[2:]
    assert len(set(whole)) == 4
