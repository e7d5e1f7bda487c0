import csv
import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from runs import ROOT, Train, go_on, results
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb_file import wandb_records

from headstart.resume.checkpoints import newest_checkpoint
from project.model.classifier import Classifier

KEYS = {
    "status", "score", "monitor", "best", "best_checkpoint", "metrics", "confusion_matrix", "seconds",
    "images_per_second", "skipped_images", "fixes", "classes", "images", "samples", "hardware", "versions",
    "git_commit", "command",
}  # fmt: skip


def tensorboard_scalars(run_dir: Path) -> dict[str, float]:
    events = EventAccumulator(str(run_dir / "tensorboard")).Reload()
    return {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}


def tensorboard_hyperparameters(run_dir: Path) -> bytes:
    events = EventAccumulator(str(run_dir / "tensorboard")).Reload()
    return events.PluginTagToContent("hparams")["_hparams_/session_start_info"]


def wandb_summary(run_dir: Path) -> dict[str, float]:
    history: dict[str, float] = {}
    for record in wandb_records(run_dir):
        for item in record.history.item:
            history[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return history


def test_what_a_run_leaves_behind(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    (run_dir,) = train("plots=auto")
    found = results(run_dir)
    assert found.keys() == KEYS
    assert found["score"] == found["metrics"]["val/accuracy"]
    assert {f"{split}/{name}" for split in ("val", "test") for name in ("loss", "accuracy")} <= found["metrics"].keys()
    assert found["seconds"].keys() == {"features", "fit", "validate", "test"}
    assert found["images_per_second"] > 0
    assert found["best_checkpoint"] == "checkpoints/best.ckpt"
    assert len(found["classes"]) == 10
    assert np.trace(found["confusion_matrix"]) / 20 == pytest.approx(found["metrics"]["test/accuracy"])
    assert "data=folder" in found["command"]
    with (run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert max(float(row["val/accuracy"]) for row in rows) == pytest.approx(found["score"])
    for name in ("history.png", "confusion_matrix.png"):
        with Image.open(run_dir / name) as image:
            assert np.asarray(image.convert("L")).std() > 5
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("epoch")] == [["epoch", "1/2"], ["epoch", "2/2"]]
    last_line = lines[-1]
    assert last_line == f"{run_dir.relative_to(Path.cwd())}: test accuracy {found['metrics']['test/accuracy']:.4f}"


def test_the_best_checkpoint_is_what_was_measured(train: Train) -> None:
    (run_dir,) = train("trainer.precision=32-true", "trainer.max_epochs=4", "model.lr=0.01")
    assert {path.name for path in (run_dir / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    with (run_dir / "metrics.csv").open() as file:
        accuracies = [float(row["val/accuracy"]) for row in csv.DictReader(file)]
    best = torch.load(run_dir / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == accuracies.index(max(accuracies))
    assert Classifier.load_from_checkpoint(run_dir / "checkpoints" / "best.ckpt").classes == tuple(
        results(run_dir)["classes"]
    )


KEPT = ["solver=adamw", "head.norm=batch", "model.lr=0.3", "trainer.max_epochs=6", "patience=9", "logger=none"]


@pytest.mark.parametrize(("monitor", "best"), [("val/loss", min), ("val/accuracy", max)])
def test_the_best_is_the_best_however_many_are_kept_beside_it(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], monitor: str, best: Callable
) -> None:
    names = 'callbacks.model_checkpoint.filename="{epoch}-{val/loss:.2f}"'
    (run_dir,) = train(*KEPT, f"monitor={monitor}", "+callbacks.model_checkpoint.save_top_k=3", names)
    with (run_dir / "metrics.csv").open() as file:
        scores = [float(row[monitor]) for row in csv.DictReader(file)]
    assert scores[-1] != best(scores), "best and last must differ for this test to mean anything"
    folder = run_dir / "checkpoints"
    epochs = {path.name: torch.load(path, weights_only=True)["epoch"] for path in folder.rglob("*.ckpt")}
    assert scores[epochs.pop("best.ckpt")] == best(scores)
    del epochs["last.ckpt"]
    kept = sorted(scores[epoch] for epoch in epochs.values())
    assert kept == sorted(sorted(scores, reverse=best is max)[:3])
    assert all(name.startswith(f"epoch={epoch}-val_loss=") for name, epoch in epochs.items())
    assert newest_checkpoint(folder) == folder / "last.ckpt"
    evaluate(monkeypatch, str(run_dir))
    table = capsys.readouterr().out.splitlines()[-1 - len(results(run_dir)["metrics"]) // 2 :]
    assert any(f"{results(run_dir)['metrics']['test/loss']:.4f}" in line for line in table)


def test_a_run_whose_folder_was_moved_remembers_its_best(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train(*KEPT, "trainer.max_epochs=3", "model.lr=0.01", "hydra.run.dir=before")
    best = Path("before/checkpoints/best.ckpt").read_bytes()
    Path("before").rename("after")
    go_on(monkeypatch, "resume=after", "trainer.max_epochs=4", "model.lr=1e6", "model.scheduler=null")
    with Path("after/metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file)]
    assert losses[3] > min(losses[:3])
    assert Path("after/checkpoints/best.ckpt").read_bytes() == best


@pytest.mark.parametrize("loggers", ["tensorboard", "csv", "wandb", "[csv,tensorboard,wandb]", "none"])
def test_every_logger_holds_the_final_score_and_all_hyperparameters(train: Train, loggers: str) -> None:
    (run_dir,) = train(f"logger={loggers}", "monitor=val/f1")
    found = results(run_dir)
    assert found["score"] == found["metrics"]["val/f1"]
    assert (run_dir / "metrics.csv").exists()
    wanted = {"score": found["score"], **found["metrics"]}
    if "tensorboard" in loggers:
        scalars = tensorboard_scalars(run_dir)
        assert {name: scalars[name] for name in wanted} == pytest.approx(wanted)
        assert b"model/label_smoothing" in tensorboard_hyperparameters(run_dir)
    if "csv" in loggers:
        with (run_dir / "csv" / "metrics.csv").open() as file:
            assert [float(row["score"]) for row in csv.DictReader(file) if row["score"]] == pytest.approx(
                [found["score"]]
            )
        assert "label_smoothing: 0.0" in (run_dir / "csv" / "hparams.yaml").read_text()
    if "wandb" in loggers:
        summary = wandb_summary(run_dir)
        assert {name: summary[name] for name in wanted} == pytest.approx(wanted)
        assert any("label_smoothing" in str(record) for record in wandb_records(run_dir))
        assert [record.exit.exit_code for record in wandb_records(run_dir) if record.HasField("exit")] == [0]


@pytest.mark.slow
def test_a_sweep_gives_every_job_its_own_folder_run_and_score(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    runs = train("head=linear,mlp", "seed=1,2", "logger=wandb", "trainer.max_epochs=1", "-m")
    assert len(runs) == 4
    (sweep_dir,) = {run_dir.parent for run_dir in runs}
    assert sweep_dir.parent.name == "sweeps"
    jobs = json.loads((sweep_dir / "sweep.json").read_text())
    assert [job["score"] for job in jobs] == [results(run_dir)["score"] for run_dir in runs]
    choices = [(f"head={head}", f"seed={seed}") for head in ("linear", "mlp") for seed in (1, 2)]
    assert all(set(choice) <= set(job["overrides"]) for choice, job in zip(choices, jobs, strict=True))
    starts = [record.run for run_dir in runs for record in wandb_records(run_dir) if record.HasField("run")]
    assert len({start.run_id for start in starts}) == 4
    assert {start.run_group for start in starts} == {sweep_dir.name}
    output = capsys.readouterr().out
    assert output.strip().endswith(f"logs/sweeps/{sweep_dir.name}: 4 jobs, 0 failed")
    assert "head=mlp seed=2" in output


def test_a_failing_job_is_reported_and_the_others_go_on(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        train("model.lr=-1,0.1", "logger=wandb", "trainer.max_epochs=1", "-m")
    assert str(caught.value).startswith("error: 1 of 2 jobs failed")
    failed, finished = sorted(path.parent for path in Path.cwd().glob("logs/**/.hydra"))
    assert not (failed / "results.json").exists()
    assert results(finished)["score"] >= 0
    codes = [[r.exit.exit_code for r in wandb_records(run) if r.HasField("exit")] for run in (failed, finished)]
    assert codes == [[1], [0]]
    assert "job failed: the optimizer can't be built with model.lr=-1" in capsys.readouterr().out
    jobs = json.loads((failed.parent / "sweep.json").read_text())
    assert [job["error"] is None for job in jobs] == [False, True]


def test_resume_goes_on_in_the_same_folder(train: Train) -> None:
    (run_dir,) = train("seed=5", "logger=[tensorboard,wandb]", "hydra.run.dir='logs/runs/my run (1)'")
    relative = run_dir.relative_to(Path.cwd())
    assert train(f"resume={relative}", "trainer.max_epochs=4", tiny=False) == [run_dir]
    with (run_dir / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2", "3"]
    assert torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4 * 1
    config = (run_dir / ".hydra" / "config.yaml").read_text()
    assert "seed: 5" in config
    assert "mobilenet_v3_small" in config
    ids = {path.name.split("-")[-1] for path in run_dir.glob("wandb/offline-run-*")}
    assert len(ids) == 1


def test_monitor_is_written_once(train: Train) -> None:
    (run_dir,) = train(
        "monitor=val/loss",
        "trainer.max_epochs=4",
        "head.norm=batch",
        "model.lr=0.3",
        "model.scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
        "~model.scheduler.warmup",
    )
    found = results(run_dir)
    with (run_dir / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file)]
    assert losses[-1] > 1.001 * min(losses), "best and last must differ for this test to mean anything"
    assert found["monitor"] == "val/loss"
    assert found["score"] == pytest.approx(min(losses), rel=1e-5)
    states = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    assert any(name.startswith("EarlyStopping{'monitor': 'val/loss', 'mode': 'min'") for name in states)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(train: Train) -> None:
    for seed in (3, 3, 4):
        train(f"seed={seed}", "head=mlp", f"hydra.run.dir=logs/runs/{len(list(Path.cwd().glob('logs/runs/*')))}")
    rows = [path.read_text() for path in sorted(Path.cwd().glob("logs/runs/*/metrics.csv"))]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


@pytest.mark.parametrize(
    "callbacks", ["none", "model_checkpoint", "early_stopping", "[early_stopping,model_checkpoint]"]
)
def test_callbacks_can_be_chosen(train: Train, callbacks: str) -> None:
    (run_dir,) = train(f"callbacks={callbacks}", "trainer.max_epochs=1")
    assert (run_dir / "checkpoints" / "best.ckpt").exists() == ("model_checkpoint" in callbacks)
    assert (results(run_dir)["best_checkpoint"] is None) == ("model_checkpoint" not in callbacks)


@pytest.mark.parametrize("debug", ["fast_dev_run", "limit", "overfit", "profiler"])
def test_debug_modes_run(train: Train, debug: str) -> None:
    (run_dir,) = train(f"debug={debug}", "data.batch_size=8", "trainer.max_epochs=2")
    assert (run_dir / "results.json").exists()
    assert (run_dir / "fit-profile.txt").exists() == (debug == "profiler")


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments])
    runpy.run_path(str(ROOT / "scripts/evaluate.py"), run_name="__main__")


@pytest.mark.slow
def test_evaluate_repeats_the_runs_test(
    train: Train, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_dir,) = train()
    accuracy = results(run_dir)["metrics"]["test/accuracy"]
    everything = ["data=folder", "data.root=elsewhere", "data.test_fraction=1", "data.val_fraction=0"]
    shutil.copytree(images / "test", tmp_path / "elsewhere")
    for arguments in ([], everything):
        capsys.readouterr()
        evaluate(monkeypatch, str(run_dir), *arguments)
        assert f"{accuracy:.4f}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"^error: data\.root has no value"):
        evaluate(monkeypatch, str(run_dir), "data=folder")
    (tmp_path / "elsewhere" / "red").rename(tmp_path / "elsewhere" / "rot")
    with pytest.raises(SystemExit, match=r"^error: the model doesn't know 'rot'"):
        evaluate(monkeypatch, str(run_dir), *everything)
