"""What a real run shows in TensorBoard and in W&B, read back from what they wrote."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import Train, go_on, results
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb_file import wandb_records

from project.reporting.figures import FIGURES

IMAGES = {"training_images", *(f"results/{draw.__name__}" for draw in FIGURES)}
TRAINED = ("head.1.weight", "head.1.bias")


def events(run_dir: Path) -> EventAccumulator:
    return EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"images": 0, "histograms": 0}).Reload()


def wandb_values(run_dir: Path, kind: str) -> dict[str, list[Any]]:
    """What was logged, or became of the summary, by key."""
    found = defaultdict(list)
    for record in wandb_records(run_dir):
        for item in record.history.item if kind == "history" else record.summary.update:
            found[item.key or "/".join(item.nested_key)].append(json.loads(item.value_json))
    return found


@pytest.mark.slow
def test_tensorboard_shows_a_run(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("plots=auto", "solver=adamw", "hydra.run.dir=run", "features.batch_size=16")
    found = events(Path("run"))
    tags = found.Tags()
    steps = [2, 5]  # 40 images, in batches of 16
    assert set(tags["images"]) >= IMAGES - {"results/confident_mistakes", "results/top_confusions"}
    assert {f"{kind}/{name}" for kind in ("weights", "gradients") for name in TRAINED} == set(tags["histograms"])
    assert all([one.step for one in found.Histograms(tag)] == steps for tag in tags["histograms"])
    for tag in ("train/loss", "val/loss", "lr/head", "training/gradient_norm", "training/images_per_second"):
        assert [one.step for one in found.Scalars(tag)] == steps, tag
    final = {name.replace("val/", "best/val/"): value for name, value in results(Path("run"))["metrics"].items()}
    for name, value in final.items():
        assert [(one.step, one.value) for one in found.Scalars(name)] == [(6, pytest.approx(value))]
    assert tags["graph"]
    assert found.PluginTagToContent("hparams").keys() >= {"_hparams_/experiment", "_hparams_/session_start_info"}
    assert found.PluginTagToContent("mesh").keys() == {"features_VERTEX", "features_COLOR"}
    assert len(Path("run/tensorboard/00000/features/metadata.tsv").read_text().splitlines()) == 1 + 20
    assert len(list(Path("run/tensorboard").glob("events*"))) == 1
    go_on(monkeypatch, "resume=run")  # with nothing left to train
    again = events(Path("run"))
    assert {tag: len(again.Images(tag)) for tag in tags["images"]} == dict.fromkeys(tags["images"], 1)
    assert [one.step for one in again.Scalars("score")] == [6]
    go_on(monkeypatch, "resume=run", "trainer.max_epochs=3")
    longer = events(Path("run"))
    assert [one.step for one in longer.Scalars("val/loss")] == [2, 5, 8]
    assert [one.step for one in longer.Scalars("score")] == [9]
    assert len(longer.Images("training_images")) == 1


@pytest.mark.slow
def test_wandb_shows_a_run_offline(train: Train) -> None:
    options = ["logger.wandb.tags=[a,b]", "logger.wandb.notes=first"]
    (run_dir,) = train("plots=auto", "logger=wandb", "solver=adamw", *options)
    found, summary, score = wandb_values(run_dir, "history"), wandb_values(run_dir, "summary"), results(run_dir)
    (run,) = (record.run for record in wandb_records(run_dir) if record.HasField("run"))
    assert (run.job_type, list(run.tags), run.notes) == ("train", ["a", "b"], "first")
    assert summary["val/accuracy"][-1] == {"max": max(found["val/accuracy"])}
    assert summary["val/loss"][-1] == {"min": min(found["val/loss"])}
    assert summary["best/val/accuracy"][-1] == pytest.approx(score["metrics"]["val/accuracy"])
    assert summary["score"][-1] == pytest.approx(score["score"])
    assert sum(found["weights/head.1.weight/values"][-1]) == 10 * 1024  # the classes, and MobileNetV3-Small's features
    assert len(found["gradients/head.1.bias/bins"]) == 2
    media = run_dir.glob("wandb/offline-run-*/files/media/*/*")
    assert {path.name.rsplit("_", 2)[0] for path in media if path.parent.name == "images"} >= {"training_images"}
    (table,) = run_dir.glob("wandb/offline-run-*/files/media/table/**/*.json")
    rows = json.loads(table.read_text())
    assert rows["columns"] == ["image", "path", "label", "predicted", "probability", "right"]
    assert len(rows["data"]) == 20
    assert sum(row[-1] for row in rows["data"]) == np.trace(score["confusion_matrix"])
    (cloud,) = run_dir.glob("wandb/offline-run-*/files/media/object3D/**/*.json")
    assert np.array(json.loads(cloud.read_text())).shape == (20, 6)
    artifacts = {one.artifact.type: one.artifact for one in wandb_records(run_dir) if one.HasField("artifact")}
    model = artifacts["model"]
    assert ([entry.path for entry in model.manifest.contents], set(model.aliases)) == (
        ["best.ckpt"],
        {"best", "latest"},
    )
    assert json.loads(model.metadata)["score"] == score["score"]
    assert "src/project/main.py" in {entry.path for entry in artifacts["code"].manifest.contents}


@pytest.mark.slow
def test_the_jobs_of_a_sweep_show_numbers_alone_unless_asked(train: Train) -> None:
    runs = train("-m", "plots=auto", "seed=1", "hydra.sweep.dir=plain") or [Path("plain/0")]
    train("-m", "seed=1", "hydra.sweep.dir=asked", "plots=true")
    plain, asked = events(Path("plain/0")), events(Path("asked/0"))
    assert runs
    assert plain.Tags()["images"] == []
    assert not plain.Tags()["graph"]
    assert plain.Tags()["scalars"]
    assert not plain.Tags()["histograms"]
    assert asked.Tags()["graph"]
    assert asked.Tags()["histograms"]
    assert "training_images" in asked.Tags()["images"]
