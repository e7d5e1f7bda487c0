"""Searches with Optuna by train.py, of `headstart.extras.search`: what they leave behind, and how they go on."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from processes import Script
from runs import ROOT, TINY, Train, go_on, results

from headstart.extras.search.study import open_storage
from headstart.resume.implied import imply
from headstart.resume.stored_config import compose_with
from headstart.runs import job_number

ADAMW = ("hydra/sweeper=optuna", "solver=adamw", "logger=none", "trainer.max_epochs=1")
LR = "model.lr=tag(log,interval(0.001,0.1))"


def study_of(sweep: Path) -> optuna.Study:
    return optuna.load_study(study_name=sweep.name, storage=open_storage(None, sweep))


def sweep_json(sweep: Path) -> list[dict[str, Any]]:
    return json.loads((sweep / "sweep.json").read_text())


def test_other_choices_may_be_searched_than_a_file_of_a_search_names() -> None:
    told = ["search=backbone", "backbone=efficientnet_lite0,resnet50"]
    assert imply(told) == ["-m", *told]


@pytest.mark.slow
def test_a_search_names_its_best_trial_whose_command_trains_it_again(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = train("search=head", "hydra.sweeper.n_trials=3", "logger=none", "trainer.max_epochs=1", "plots=false")
    sweep = folders[0].parent
    study = study_of(sweep)
    scores = [results(sweep / str(trial.number))["score"] for trial in study.trials]
    assert study.direction.name == "MAXIMIZE"
    assert [trial.value for trial in study.trials] == scores
    assert [job["score"] for job in sweep_json(sweep)] == scores
    said = capsys.readouterr().out
    best = scores.index(max(scores))
    assert f"best: job {best}, " in said
    (again,) = (line.removeprefix("again: ") for line in said.splitlines() if line.startswith("again: "))
    go_on(monkeypatch, *shlex.split(again)[2:], "hydra.run.dir=again")
    assert results(Path("again"))["metrics"] == results(sweep / str(best))["metrics"]


@pytest.mark.slow
def test_a_search_goes_on_and_searches_longer(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train("-m", *ADAMW, LR, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=sweep")
    first = results(Path("sweep/0"))
    go_on(monkeypatch, "-m", "resume=sweep", "hydra.sweeper.n_trials=3")
    assert "the study sweep has 2 of 3 trials already" in capsys.readouterr().out
    assert [trial.state.name for trial in study_of(Path("sweep")).trials] == ["COMPLETE"] * 3
    assert results(Path("sweep/0")) == first
    assert [job["status"] for job in sweep_json(Path("sweep"))] == ["finished"] * 3


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_with_its_trial(images: Path, workdir: Path) -> None:
    told = ["-m", "data=folder", f"data.root={images}", *TINY, *ADAMW, LR, "trainer.max_epochs=300", "patience=999"]
    script = Script("train.py", *told, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=sweep", cwd=workdir)
    checkpoint = workdir / "sweep" / "0" / "checkpoints" / "best.ckpt"
    while not checkpoint.exists() and script.process.is_alive():
        time.sleep(0.05)
    script.kill()
    script.end()
    assert [trial.state.name for trial in study_of(workdir / "sweep").trials] == ["RUNNING"]
    again = Script("train.py", "-m", "resume=sweep", "trainer.max_epochs=3", cwd=workdir)
    assert again.end() == 0, again.stderr
    trials = study_of(workdir / "sweep").trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE"]
    folders = [workdir / "sweep" / str(number) for number in (0, 1)]
    assert [trial.value for trial in trials] == [results(folder)["score"] for folder in folders]
    assert [job_number(folder) for folder in folders] == [0, 1]


def test_pruned_trials_are_no_failures(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    pruner = ["callbacks.pruning.pruner._target_=optuna.pruners.ThresholdPruner", "+callbacks.pruning.pruner.lower=2"]
    removed = ["~callbacks.pruning.pruner.n_startup_trials", "callbacks.pruning.pruner.n_warmup_steps=1"]
    folders = train(
        "-m", *ADAMW[:3], LR, "callbacks=[default,pruning]", *pruner, *removed, "trainer.max_epochs=5",
        "hydra.sweeper.n_trials=2", "patience=9",
    )  # fmt: skip
    found = [results(folder) for folder in folders]
    assert [(one["status"], one["best_checkpoint"]) for one in found] == [("pruned", "checkpoints/best.ckpt")] * 2
    assert [len((folder / "metrics.csv").read_text().splitlines()) for folder in folders] == [
        3,
        3,
    ]  # a header, 2 epochs
    study = study_of(folders[0].parent)
    assert [trial.state.name for trial in study.trials] == ["PRUNED"] * 2
    assert [sorted(trial.intermediate_values) for trial in study.trials] == [[0, 1]] * 2
    said = capsys.readouterr().out
    assert "2 jobs, 0 failed, 2 pruned" in said
    assert "pruned after 2 epochs" in said
    assert [job["status"] for job in sweep_json(folders[0].parent)] == ["pruned"] * 2


def test_a_search_lets_some_trials_fail_and_not_most(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    grid = ["hydra/sweeper/sampler=grid", "model.lr=choice(0.01,-1)"]
    folder, _ = train("-m", *ADAMW, *grid)
    assert "2 jobs, 1 failed" in capsys.readouterr().out
    assert sorted(trial.state.name for trial in study_of(folder.parent).trials) == ["COMPLETE", "FAIL"]
    with pytest.raises(SystemExit, match=r"^error: 1 of 2 trials have failed|^error: 1 of [12] jobs failed"):
        train("-m", *ADAMW, *grid, "hydra.sweeper.max_failure_rate=0.1")


def test_objectives_that_are_none_are_told_before_anything_runs(train: Train) -> None:
    with pytest.raises(
        SystemExit, match=r"hydra.sweeper.objectives: val/nonsense is none; take metrics such as val/acc"
    ):
        train("-m", *ADAMW, LR, "hydra.sweeper.objectives=[val/nonsense]")
    folders = train("-m", *ADAMW, LR, "hydra.sweeper.objectives=[val/loss,seconds]", "hydra.sweeper.n_trials=1")
    study = study_of(folders[0].parent)
    assert [one.name for one in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.trials[0].values[0] == results(folders[0])["metrics"]["val/loss"]


COMMANDS = [
    line.partition("   ")[0].replace("PATH", "images")
    for line in (ROOT / "docs/search.md").read_text().splitlines()
    if line.startswith("python train.py") and "resume=" not in line
]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_page_on_searches_says_composes(command: str) -> None:
    assert len(COMMANDS) == 3
    told = [one for one in shlex.split(command)[2:] if one != "-m" and "," not in one]  # which is for jobs
    cfg = compose_with([], told, with_hydra=True)
    assert cfg.hydra.sweeper._target_ == "headstart.extras.search.sweeper.OptunaSearch"
