"""What a sweep comes to: its jobs, and the means over its folds."""

import json
import sys
from pathlib import Path

import hydra
import pytest
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from runs import ROOT, composed, results

from project import TRUSTED
from project.reporting.sweep import fold_table, job_table, over_folds


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
    jobs = [job(0.5, "data.fold=0", "logger=[csv,wandb]"), job(0.7, "data.fold=1", "logger=[csv,wandb]"), job(0.6)]
    rows = [*over_folds(jobs), {"overrides": [], "scores": [0.6], "mean": 0.6, "std": None}]
    Console(width=100).print(job_table(jobs), fold_table(rows))
    printed = capsys.readouterr().out
    assert printed.count("logger=[csv,wandb]") == 3
    assert printed.count("[b]") == 3
