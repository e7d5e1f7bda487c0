"""Where a trained model is found: runs, sweeps, checkpoints, `latest`; and what is said where there is none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from headstart.errors import UserError
from headstart.runs import find_run, read_results


def make_run(folder: Path, score: float | None = 0.5, at: int = 1, **results: Any) -> Path:
    """The folder of a run that has ended, at a time in seconds."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").touch()
    said = {"status": "finished", "score": score, "monitor": "val/accuracy", "best": "max"} | results
    (folder / "results.json").write_text(json.dumps(said))
    os.utime(folder / "results.json", (at, at))
    return folder


def make_sweep(folder: Path, *scores: float | None, **results: Any) -> Path:
    for number, score in enumerate(scores):
        make_run(folder / str(number), score, **results)
    (folder / "multirun.yaml").touch()
    (folder / "sweep.json").write_text("[]")
    return folder


def test_a_run_and_any_checkpoint_in_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", hardware={"precision": "32-true"})
    for place in (run, str(run), run / "checkpoints" / "best.ckpt"):
        found = find_run(place)
        assert (found.folder, found.precision, found.is_best) == (run, "32-true", True)
    (run / "checkpoints" / "last.ckpt").touch()
    found = find_run(run / "checkpoints" / "last.ckpt")
    assert (found.checkpoint.name, found.folder, found.is_best) == ("last.ckpt", run, False)


def test_a_checkpoint_that_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "some.ckpt").touch()
    found = find_run(tmp_path / "some.ckpt")
    assert found == (tmp_path / "some.ckpt", None, {})
    assert (found.precision, found.is_best) == ("auto", False)


def test_paths_as_people_type_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "lr=0.1, [x] ä")
    for place in (f"~/{run.name}", run.name, f"./{run.name}/"):
        assert find_run(place).checkpoint.samefile(run / "checkpoints" / "best.ckpt")


def test_the_best_of_a_sweep_by_its_metrics_own_direction(tmp_path: Path) -> None:
    highest = make_sweep(tmp_path / "a", 0.1, 0.9, 0.9, 0.3)
    assert find_run(highest).folder == highest / "1"
    lowest = make_sweep(tmp_path / "b", 0.4, 0.1, 0.3, monitor="val/loss", best="min")
    assert find_run(lowest).folder == lowest / "1"


def test_jobs_without_a_score_are_passed_over(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", float("nan"), None, 0.2)
    make_run(sweep / "3", 0.9, status="interrupted")
    make_run(sweep / "deeper" / "4", 0.4)
    (sweep / "5").mkdir()
    (sweep / "5" / "results.json").write_text("[1]")
    assert find_run(sweep).folder == sweep / "deeper" / "4"


def test_the_latest_is_the_newest_that_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="latest: no run has ended in logs/runs, and no sweep in logs/sweeps"):
        find_run("latest")
    logs = Path("logs")
    make_run(logs / "runs" / "a", at=10)
    make_run(logs / "runs" / "b", at=20)
    make_run(logs / "runs" / "c", at=30, status="failed")
    assert find_run("latest").folder == logs / "runs" / "b"
    sweep = make_sweep(logs / "sweeps" / "d", 0.1, 0.9)
    os.utime(sweep / "sweep.json", (25, 25))
    os.utime(make_sweep(logs / "sweeps" / "e", None) / "sweep.json", (40, 40))
    assert find_run("latest").folder == sweep / "1"
    make_run(Path("latest"), 0.7)
    assert find_run("latest").folder == Path("latest")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "there is no nowhere: name the folder of a run or a sweep, a checkpoint, or latest"),
        ("", "there is no run of that name: name the folder"),
        ("empty", "empty is no folder of a run or a sweep"),
        ("above", "above is no folder of a run or a sweep"),
        ("failed", r"failed holds no trained model: there is no checkpoints/best\.ckpt in it"),
        ("begun", "begun holds no trained model"),
        ("nothing", "none of the runs in nothing has ended with a score"),
        ("mixed", "the runs in mixed were scored by different metrics: name one of them"),
        ("others", "the runs in others know different classes: name one of them"),
    ],
)
def test_what_is_no_trained_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    make_run(tmp_path / "above" / "deep" / "run")
    (make_run(tmp_path / "failed", status="failed") / "checkpoints" / "best.ckpt").unlink()
    (tmp_path / "begun" / ".hydra").mkdir(parents=True)
    make_sweep(tmp_path / "nothing", None)
    make_run(make_sweep(tmp_path / "mixed", 0.5) / "1", monitor="val/f1")
    make_run(make_sweep(tmp_path / "others", 0.5, classes=["a", "b"]) / "1", classes=["a", "c"])
    with pytest.raises(UserError, match=message) as caught:
        find_run(place)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"', "\udcff"])
def test_results_that_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_bytes(content.encode(errors="surrogateescape"))
    assert read_results(tmp_path) == {}


def test_a_strangers_results_are_no_traceback(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", hardware=["x"])
    assert find_run(run).precision == "auto"
    assert find_run(make_run(tmp_path / "other", hardware={"precision": ["x"]})).precision == "['x']"
