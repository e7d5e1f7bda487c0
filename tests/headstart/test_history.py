"""metrics.csv: every epoch's row, whatever is measured when, and however often a run is gone on with."""

import csv
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from headstart.machine import quiet
from headstart.tracking.history import History, read_history


class Line(LightningModule):
    """One weight, a loss, and from the third epoch on another metric."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        loss = (batch[0] - self.weight).square().mean()
        self.log("train/loss", loss)
        if self.current_epoch > 1:
            self.log("train/late", loss)
            self.log('train/"one", two', loss)
            self.log("epoch", loss)  # our own names stay ours
        return loss

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("val/loss", (batch[0] - self.weight).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder: Path, epochs: int, resume_from: str | None = None, every: int = 2) -> Trainer:
    quiet()
    loader = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=4)
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[History(folder)],
        check_val_every_n_epoch=every, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Line(), loader, loader, ckpt_path=resume_from, weights_only=True)
    return trainer


def test_what_comes_late_or_seldom_has_empty_fields_elsewhere(tmp_path: Path) -> None:
    trainer = fit(tmp_path, 4)
    rows = read_history(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert ["val/loss" in row for row in rows] == [False, True, False, True]  # and not that of an epoch before
    assert ["train/late" in row for row in rows] == [False, False, True, True]
    header, *lines = csv.reader((tmp_path / "metrics.csv").read_text().splitlines())
    assert 'train/"one", two' in header
    assert {len(line) for line in lines} == {len(header)}
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    fit(tmp_path, 6, str(tmp_path / "last.ckpt"))
    again = read_history(tmp_path / "metrics.csv")
    assert again[:4] == rows
    assert [row["epoch"] for row in again] == [0, 1, 2, 3, 4, 5]


def test_a_half_written_row_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,val/loss\n0,1,\n1,2,0.5\n2,")
    assert read_history(path) == [{"epoch": 0, "step": 1}, {"epoch": 1, "step": 2, "val/loss": 0.5}]
    assert read_history(tmp_path / "none.csv") == []
