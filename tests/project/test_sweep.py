"""What a sweep comes to: its jobs, and the means over its folds."""

import csv
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
from omegaconf import DictConfig, ListConfig, OmegaConf
from runs import ROOT, Train, composed, results

from headstart.images.shared import set_up
from headstart.images.splits import Splitting
from headstart.images.table import ImageTable
from headstart.machine import terminal
from headstart.resume.own_folder import held
from project import TRUSTED
from project.data.datamodule import ImageData
from project.data.folder import find_images
from project.reporting.report.sweep import write_page_of
from project.reporting.sweep import SweepTable
from project.reporting.sweep_files import checkpoint, command, job_table, mean_table, rows, write_sweep
from project.reporting.sweep_folder import NO_END, SweepFolder

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


def a_sweep(folder: Path, *jobs: tuple[float | None, str], **results: Any) -> SweepFolder:
    """A sweep's folder with jobs of these scores, None for one that failed, and overrides."""
    for number, (score, overrides) in enumerate(jobs):
        place = folder / str(number)
        (place / ".hydra").mkdir(parents=True)
        told = ["data=folder", *overrides.split()]
        note = {"job": number, "run_dir": "/elsewhere", "overrides": told, "score": score}
        note["error"] = "it went wrong" if score is None else None
        (place / ".hydra" / f"job-{number}.json").write_text(json.dumps(note))
        if score is not None:
            said = {"status": "finished", "score": score, "monitor": "val/accuracy", "best": "max"}
            said |= {"metrics": {"val/accuracy": score}, "best_checkpoint": "checkpoints/best.ckpt"}
            said |= {"command": f"python train.py {' '.join(told)}", "seconds": {"fit": 1.5}} | results
            (place / "results.json").write_text(json.dumps(said))
    return SweepFolder(folder)


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


def test_means_are_over_the_jobs_that_differ_in_seed_or_fold_alone(tmp_path: Path) -> None:
    sweep = a_sweep(
        tmp_path / "sweep",
        (0.5, "data.fold=0 head=linear"),
        (0.7, "data.fold=0 head=mlp"),
        (0.7, "data.fold=1 head=linear"),
        (None, "data.fold=1 head=mlp"),
        (0.9, "data.fold=2 head=linear"),
        (0.9, "data.fold=0 head=other"),
    )
    linear, mlp = sweep.means
    assert linear["overrides"] == {"head": "linear"}
    assert (linear["mean"], linear["std"]) == pytest.approx((0.7, 0.2))
    assert (mlp["mean"], mlp["std"], mlp["scores"]) == (0.7, None, [0.7])
    columns = [list(column.cells) for column in mean_table(sweep).columns]
    assert columns == [["head=linear", "head=mlp"], ["3", "1 of 2"], ["0.7000", "0.7000"], ["0.2000", ""]]
    assert a_sweep(tmp_path / "other", (0.5, "head=linear"), (0.6, "head=mlp")).means == []


@pytest.mark.parametrize(("best", "order"), [("max", ["2", "0", "1"]), ("min", ["1", "0", "2"])])
def test_the_best_job_comes_first_and_can_be_had_again(tmp_path: Path, best: str, order: list[str]) -> None:
    jobs = (0.5, "model.lr=0.1"), (0.4, "model.lr=0.2"), (0.6, "model.lr=0.3"), (None, "model.lr=-1")
    sweep = a_sweep(tmp_path, *jobs, best=best)
    header, *found = rows(sweep)
    assert [row[0] for row in found] == [*order, "3"]
    assert dict(zip(header, found[-1], strict=True)) | {
        "job": "3",
        "status": "failed",
        "error": "it went wrong",
    } == dict(zip(header, found[-1], strict=True))
    assert command(sweep) == f"python train.py data=folder {jobs[int(order[0])][1]}"
    assert str(checkpoint(sweep.finished[0])).endswith(f"{order[0]}/checkpoints/best.ckpt")
    assert sweep.keys == ["model.lr"]


def test_how_it_stands_with_jobs_that_have_no_end(tmp_path: Path) -> None:
    jobs = [(0.5, "seed=0"), (None, "seed=1"), (None, "seed=2"), (None, "seed=3")]
    sweep = a_sweep(tmp_path, *jobs)
    for number in (1, 2, 3):
        path = tmp_path / str(number) / ".hydra" / f"job-{number}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"error": NO_END}))
    (tmp_path / "2" / "results.json").write_text('{"status": "interrupted"}')
    with held(tmp_path / "3"):
        assert [job.status for job in sweep.jobs] == ["finished", "killed", "interrupted", "running"]
    assert SweepFolder(tmp_path).jobs[3].status == "killed"


def test_a_sweeps_page_says_what_failed_and_why(tmp_path: Path) -> None:
    odd = "head=<b>$x$</b>"
    jobs = [(0.5, f"model.lr=0.001 {odd}"), (0.6, f"model.lr=0.1 {odd}"), (None, "model.lr=-1 head=linear")]
    sweep = a_sweep(tmp_path, *jobs)
    files = write_sweep(sweep), write_page_of(sweep)
    assert [path.name for path in files] == ["sweep.csv", "sweep.html"]
    page = files[1].read_text()
    assert page.count("<svg") == 3
    assert "<b>$x$" not in page
    assert "it went wrong" in page
    assert "1 failed" in page
    with files[0].open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["status"] for row in written] == ["finished", "finished", "failed"]
    assert written[0]["model.lr"] == "0.1"
    assert [job["status"] for job in json.loads((tmp_path / "sweep.json").read_text())] == ["finished"] * 2 + ["failed"]


def validated_on(run_dir: Path) -> set[str]:
    """The images that a run of train.py was validated on, by its own config."""
    overrides = (run_dir / ".hydra" / "overrides.yaml").read_text().replace("- ", "").splitlines()
    data = instantiate(composed(*overrides).data)
    data.setup()
    return {sample.path for sample in data.table.val}


def test_a_sweep_over_folds_computes_features_once_and_ends_with_mean_and_deviation(train, capsys) -> None:
    first, second = train("-m", "data.folds=2", "data.fold=0,1", "model.strongest=0.01")
    scores = [results(first)["score"], results(second)["score"]]
    (row,) = json.loads((first.parent / "means.json").read_text())
    assert row["scores"] == scores
    assert row["mean"] == pytest.approx(sum(scores) / 2)
    assert row["std"] == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)
    assert f"{row['mean']:.4f} │ {row['std']:.4f}" in capsys.readouterr().out
    assert "80 images in data/features, 0 of them computed now" in (second / "train.log").read_text()
    folds = [validated_on(first), validated_on(second)]
    assert [len(fold) for fold in folds] == [30, 30]
    assert not folds[0] & folds[1]


def test_what_looks_like_markup_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = ["logger=[csv,wandb]", "data.root=[/bold]", "data.root=:cat:", "data.root='a\\'"]
    jobs = [(0.5 + fold / 5, f"data.fold={fold} {one}") for fold in (0, 1) for one in odd]
    sweep = a_sweep(tmp_path, *jobs)
    terminal(width=100).print(job_table(sweep), mean_table(sweep))
    printed = capsys.readouterr().out
    assert [printed.count(one) for one in odd] == [3] * 4
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


def told_in_full(words: list[Any]) -> str:
    return f"hydra.sweeper.direction=[{','.join(map(str, words))}]"


def test_a_sweeper_looks_for_the_best_score_and_not_for_the_worst(tmp_path: Path) -> None:
    def looks_for(monitor: str, said: object, *typed: str, **options: object) -> object:
        hydra: Any = {"sweep": {"dir": str(tmp_path)}, "overrides": {"hydra": [*typed]}, "sweeper": {}}
        hydra["sweeper"] = {"direction": said, **options} if said or options else {}
        config = OmegaConf.create({"monitor": monitor, "hydra": hydra}, flags={"struct": True, "allow_objects": True})
        SweepTable().on_multirun_start(config)
        found = config.hydra.sweeper.get("direction")
        words = [getattr(one, "name", one) for one in (found if isinstance(found, ListConfig) else [found])]
        told = [one for one in config.hydra.overrides.hydra if one not in typed]
        assert told in ([], [f"hydra.sweeper.direction={words[0]}"], [told_in_full(words)])
        return words if isinstance(found, ListConfig) else words[0]

    assert looks_for("val/accuracy", Direction.minimize) == "maximize"
    assert looks_for("val/loss", Direction.minimize) == "minimize"
    assert looks_for("val/f1", "maximize", "hydra.sweeper.direction=maximize") == "maximize"
    assert looks_for("val/f1", None) is None
    assert looks_for("val/f1", ["minimize", "maximize"]) == ["minimize", "maximize"]
    assert looks_for("val/f1", None, objectives=None) == "maximize"
    both = ["val/loss", "seconds", "val/accuracy"]
    assert looks_for("val/f1", None, objectives=both) == ["minimize", "minimize", "maximize"]
    with pytest.raises(SystemExit, match=r"direction=minimize looks for the worst of val/f1: leave it out, or say max"):
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
    with pytest.raises(SystemExit, match=r"^error: 2 of 2 jobs failed; .*\[red\] :cat: \[/x\]/sweep\.csv says why"):
        train("-m", "data.root='[/nowhere]',':x:'", f"hydra.sweep.dir='{sweep_dir}'", "logger=[csv,tensorboard]")
    printed = capsys.readouterr().out
    assert f"{sweep_dir}: 2 jobs, 2 failed" in printed
    assert "│ data.root='[/nowhere]' │ failed │" in printed
    assert "│ data.root=':x:'        │ failed │" in printed


def test_a_searchs_page_has_its_history_and_importances(tmp_path: Path) -> None:
    jobs = [(0.5, "model.lr=0.1"), (0.7, "model.lr=0.2"), (0.6, "model.lr=0.3"), (0.3, "model.lr=0.4")]
    sweep = a_sweep(tmp_path, *jobs)
    (tmp_path / "3" / "results.json").write_text(json.dumps(results(tmp_path / "3") | {"status": "pruned"}))
    (tmp_path / "importance.json").write_text('{"model.lr": 1.0}')
    assert sweep.best_so_far([0.5, 0.7, 0.6]) == [0.5, 0.7, 0.7]
    assert [job.status for job in sweep.jobs] == ["finished"] * 3 + ["pruned"]
    assert [job.name for job in sweep.finished] == ["1", "2", "0"]
    page = write_page_of(sweep).read_text()
    assert page.count("<svg") == 3  # the history, the importances, and the score by the one parameter
    assert "3 finished, 1 pruned" in page
    assert a_sweep(tmp_path / "min", *jobs, best="min").best_so_far([0.5, 0.7, 0.4]) == [0.5, 0.5, 0.4]
