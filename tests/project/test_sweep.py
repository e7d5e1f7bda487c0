"""What a sweep comes to: its jobs, and the means over its folds."""

import json
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from runs import ROOT, Train, composed, results

from headstart.images.shared import set_up
from headstart.images.splits import Splitting
from headstart.images.table import ImageTable
from headstart.machine import terminal
from project import TRUSTED
from project.data.datamodule import ImageData
from project.data.folder import find_images
from project.reporting.sweep import SweepTable, fold_table, job_table, over_folds

LAUNCH = BasicLauncher.launch


@pytest.mark.usefixtures("workdir")
def test_what_is_wrong_with_the_last_job_is_found_before_the_first_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    began: list[DictConfig] = []
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "head=linear,nonsense"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    job = hydra.main(config_path=str(ROOT / "conf"), config_name="train", execution_whitelist=TRUSTED)(began.append)
    with pytest.raises(HydraException, match="nonsense"):
        job()
    assert not began
    assert "jobs" not in capsys.readouterr().out


def job(score: float | None, *overrides: str) -> dict:
    return {"overrides": [*overrides, "seed=0"], "score": score, "run_dir": "sweep/[b]", "error": None}


def test_the_jobs_of_a_sweep_share_a_table_and_other_runs_do_not(images: Path, tmp_path: Path) -> None:
    found = []

    def find(splitting: Splitting) -> ImageTable:
        found.append(find_images(str(images), splitting))
        return found[-1]

    def table(key: str | None) -> ImageTable | None:
        data = ImageData(find, checked_dir=tmp_path)
        set_up(data, key)
        return data.table

    assert table("sweep") is table("sweep")
    assert len(found) == 1
    assert table("another") is not table(None)
    assert table(None) is not table("another")
    assert len(found) == 5


def test_means_are_over_the_jobs_that_differ_in_the_fold_alone() -> None:
    jobs = [
        job(0.5, "data.fold=0", "head=linear"),
        job(0.7, "data.fold=0", "head=mlp"),
        job(0.7, "data.fold=1", "head=linear"),
        job(None, "data.fold=1", "head=mlp"),
        job(0.9, "data.fold=2", "head=linear"),
        job(0.9, "data.fold=0", "head=other"),
    ]
    linear, mlp = over_folds(jobs)
    assert linear["overrides"] == ["head=linear", "seed=0"]
    assert (linear["mean"], linear["std"]) == pytest.approx((0.7, 0.2))
    assert (mlp["mean"], mlp["std"], mlp["scores"]) == (0.7, None, [0.7, None])
    columns = [list(column.cells) for column in fold_table([linear, mlp]).columns]
    assert columns == [["head=linear", "head=mlp"], ["3", "1 of 2"], ["0.7000", "0.7000"], ["0.2000", ""]]
    assert over_folds([job(0.5, "head=linear"), job(0.6, "head=mlp")]) == []


def validated_on(run_dir: Path) -> set[str]:
    """The images that a run of train.py was validated on, by its own config."""
    overrides = (run_dir / ".hydra" / "overrides.yaml").read_text().replace("- ", "").splitlines()
    data = instantiate(composed(*overrides).data)
    data.setup()
    return {sample.path for sample in data.table.val}


def test_a_sweep_over_folds_computes_features_once_and_ends_with_mean_and_deviation(train, capsys) -> None:
    first, second = train("-m", "data.folds=2", "data.fold=0,1", "model.strongest=0.01")
    scores = [results(first)["score"], results(second)["score"]]
    (row,) = json.loads((first.parent / "folds.json").read_text())
    assert row["scores"] == scores
    assert row["mean"] == pytest.approx(sum(scores) / 2)
    assert row["std"] == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)
    assert f"{row['mean']:.4f} │ {row['std']:.4f}" in capsys.readouterr().out
    assert "80 images in data/features, 0 of them computed now" in (second / "train.log").read_text()
    folds = [validated_on(first), validated_on(second)]
    assert [len(fold) for fold in folds] == [30, 30]
    assert not folds[0] & folds[1]


def test_what_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    odd = ["logger=[csv,wandb]", "data.root=[/bold]", "data.root=:cat:", "data.root='a\\'"]
    jobs = [job(0.5, "data.fold=0", one) for one in odd] + [job(0.7, "data.fold=1", one) for one in odd] + [job(0.6)]
    rows = [*over_folds(jobs), {"overrides": [], "scores": [0.6], "mean": 0.6, "std": None}]
    terminal(width=100).print(job_table(jobs), fold_table(rows))
    printed = capsys.readouterr().out
    assert [printed.count(one) for one in odd] == [3] * 4
    assert printed.count("[b]") == 9
    assert printed.count("\\") == 3


def in_processes_of_their_own(
    self: BasicLauncher, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
) -> list[JobReturn]:
    """As hydra/launcher=joblib and submitit do it: all that comes back from a job is what it returned."""
    for number, overrides in enumerate(job_overrides, start=initial_job_idx):
        process = multiprocessing.get_context("fork").Process(target=LAUNCH, args=(self, [overrides], number))
        process.start()
        process.join()
    return [JobReturn(status=JobStatus.COMPLETED, _return_value=math.nan) for _ in job_overrides]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_what_became_of_jobs_in_other_processes_is_read_from_their_folders(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], killed: bool
) -> None:
    monkeypatch.setattr(BasicLauncher, "launch", in_processes_of_their_own)
    if killed:
        monkeypatch.setattr("project.main.fit", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    failed = 3 if killed else 1
    with pytest.raises(SystemExit, match=f"^error: {failed} of 3 jobs failed"):
        train("-m", "model.lr=0.1,-1,0.2", "logger=none", "trainer.max_epochs=1")
    (path,) = Path.cwd().glob("logs/sweeps/*/sweep.json")
    jobs = json.loads(path.read_text())
    assert [f"model.lr={lr}" in job["overrides"] for lr, job in zip(("0.1", "-1", "0.2"), jobs, strict=True)] == [
        True
    ] * 3
    assert sum(job["error"] is not None for job in jobs) == failed
    assert ("model.lr=-1" in jobs[1]["error"]) is not killed
    for job in jobs:
        assert job["error"] or job["score"] == results(Path(job["run_dir"]))["score"]
    assert f"3 jobs, {failed} failed" in capfd.readouterr().out


def test_a_sweeper_that_gives_up_after_failed_jobs_ends_with_their_table(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def launch(*arguments: Any, **options: Any) -> list[JobReturn]:
        returned.extend(LAUNCH(*arguments, **options))
        raise ValueError("No trials are completed yet.")  # as Optuna says it

    returned: list[JobReturn] = []
    monkeypatch.setattr(BasicLauncher, "launch", launch)
    with pytest.raises(SystemExit, match=r"^error: 2 of 2 jobs failed"):
        train("-m", "model.lr=-1,-2", "logger=none")
    assert "2 jobs, 2 failed" in capsys.readouterr().out
    assert all(math.isnan(one.return_value) for one in returned)  # which Optuna refuses: the trial has failed


class Direction(Enum):  # as Optuna's sweeper has it
    minimize = 1
    maximize = 2


def test_a_sweeper_looks_for_the_best_score_and_not_for_the_worst(tmp_path: Path) -> None:
    def looks_for(monitor: str, said: object, *typed: str) -> object:
        hydra: Any = {"sweep": {"dir": str(tmp_path)}, "overrides": {"hydra": [*typed]}, "sweeper": {}}
        hydra["sweeper"] = {"direction": said} if said else {}
        config = OmegaConf.create({"monitor": monitor, "hydra": hydra}, flags={"struct": True, "allow_objects": True})
        SweepTable().on_multirun_start(config)
        found = config.hydra.sweeper.get("direction")
        return getattr(found, "name", found)

    assert looks_for("val/accuracy", Direction.minimize) == "maximize"
    assert looks_for("val/loss", Direction.minimize) == "minimize"
    assert looks_for("val/f1", "maximize", "hydra.sweeper.direction=maximize") == "maximize"
    assert looks_for("val/f1", None) is None
    assert looks_for("val/f1", ["minimize", "maximize"]) == ["minimize", "maximize"]
    with pytest.raises(SystemExit, match=r"direction=minimize looks for the worst val/f1: leave it out, or say maxim"):
        looks_for("val/f1", "minimize", "hydra.sweeper.direction=minimize")


@pytest.mark.slow
def test_seeds_that_change_nothing_are_named(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    runs = train("-m", "head=linear,mlp", "seed=1,2", "logger=none", "trainer.max_epochs=1")
    heads = [torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"] for run in runs]
    same = [all(torch.equal(one[name], other[name]) for name in one) for one, other in (heads[:2], heads[2:])]
    assert same == [True, False]
    assert capsys.readouterr().out.count("jobs 0, 1 are the same to the last bit with another seed") == 1


def test_a_sweep_of_failures_in_odd_folders_ends_with_an_error(train, capsys) -> None:
    sweep_dir = "logs/sweeps/[red] :cat: [/x]"
    with pytest.raises(SystemExit, match=r"^error: 2 of 2 jobs failed; .*\[red\] :cat: \[/x\]/sweep\.json says why"):
        train("-m", "data.root='[/nowhere]',':x:'", f"hydra.sweep.dir='{sweep_dir}'", "logger=[csv,tensorboard]")
    printed = capsys.readouterr().out
    assert f"{sweep_dir}: 2 jobs, 2 failed" in printed
    assert "│ data.root='[/nowhere]' │ failed │" in printed
    assert "│ data.root=':x:'        │ failed │" in printed
