"""Loss and accuracy of an epoch's training batches, each image weighing the same."""

import csv
from pathlib import Path

import pytest
from runs import Train


def first_row(run_dir: Path) -> dict[str, float]:
    with (run_dir / "metrics.csv").open() as file:
        return {name: float(value) for name, value in next(csv.DictReader(file)).items()}


@pytest.mark.slow
def test_batches_of_any_size_come_to_the_same_means(train: Train) -> None:
    still = ["solver=adamw", "model.lr=1e-12", "trainer.max_epochs=1", "logger=none"]
    for size in (40, 16, 7):  # 40 images: one batch; 16, 16, 8; five of 7, and 5
        train(*still, f"features.batch_size={size}", f"hydra.run.dir=run{size}")
    train(*still, "features.batch_size=16", "+trainer.accumulate_grad_batches=2", "hydra.run.dir=run-accumulated")
    rows = [first_row(Path(f"run{name}")) for name in (40, 16, 7, "-accumulated")]
    for row in rows:
        assert row["train/loss"] == pytest.approx(rows[0]["train/loss"], rel=1e-5)
        # Whole images, whichever: those of an untrained network are near to ties, which roundings decide.
        assert row["train/accuracy"] * 40 == pytest.approx(round(row["train/accuracy"] * 40), abs=1e-4)
