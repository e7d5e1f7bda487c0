from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from runs import composed

from headstart.images.table import ImageTable, Sample, balanced_class_weights, balanced_sample_weights
from headstart.resume.command_line import check
from project.build import images, model
from project.data.datamodule import ImageData

CLASSES = ("a", "b", "c")
LABELS = [0] * 12 + [1] * 3 + [2] * 3


@pytest.fixture
def table(images: Path) -> ImageTable:
    """Many of class a, few of b and c."""
    files = sorted(images.glob("*/*/*.jpg"))
    samples = tuple(Sample(str(file), label) for file, label in zip(files, LABELS, strict=False))
    return ImageTable(CLASSES, samples, samples[:1], samples[:1])


def test_classes_weigh_the_same_and_images_one_on_average(table: ImageTable) -> None:
    weights = balanced_class_weights(table)
    assert weights == [0.5, 2, 2]
    assert sum(weights[label] for label in LABELS) == len(LABELS)
    drawn = balanced_sample_weights(table)
    assert [drawn[torch.tensor(LABELS) == label].sum().item() for label in range(3)] == [6, 6, 6]
    absent = ImageTable(("a", "b"), table.train[:4], (), ())
    assert balanced_class_weights(absent) == [1, 0]


@pytest.mark.parametrize(("balance", "weights"), [("none", None), ("sampler", None), ("weights", [0.5, 2, 2])])
def test_the_loss_is_weighted_or_images_are_drawn(
    table: ImageTable, tmp_path: Path, balance: str, weights: list[float] | None
) -> None:
    data = ImageData(lambda _: table, batch_size=5, num_workers=0, checked_dir=tmp_path, balance=balance)
    data.setup()
    assert data.class_weights == weights
    data.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    order = data.order(5)
    drawn = torch.tensor(LABELS)[torch.cat([torch.cat(order.batches(epoch)) for epoch in range(200)])]
    shares = [(drawn == label).float().mean().item() for label in range(3)]
    assert shares == pytest.approx([1 / 3] * 3 if balance == "sampler" else [2 / 3, 1 / 6, 1 / 6], abs=0.03)


@pytest.mark.parametrize(("solver", "balance"), [("lbfgs", "weights"), ("adamw", "sampler")])
def test_the_config_reaches_loss_and_order(tmp_path: Path, table: ImageTable, solver: str, balance: str) -> None:
    for sample in table.train:
        link = tmp_path / "root" / CLASSES[sample.label] / f"{len(sample.path)}-{hash(sample)}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(sample.path)
    backbone = ["backbone=torchvision", "backbone.name=mobilenet_v3_small", "backbone.weights=null"]
    cfg = composed(f"solver={solver}", *backbone, "data=folder", f"data.balance={balance}", f"data_dir={tmp_path}")
    cfg.data.root, cfg.data.val_fraction, cfg.data.test_fraction = str(tmp_path / "root"), 0, 0
    check(cfg)
    data = images(cfg)
    made = model(cfg, data)
    given = None if made.class_weights is None else made.class_weights.tolist()
    assert given == ([0.5, 2, 2] if balance == "weights" else None)
    assert data.balance == balance
