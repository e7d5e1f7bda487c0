"""Whatever limit a Trainer has, a run trains what a plain Trainer with this limit trains, and validates some of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch.utils.data import DataLoader, TensorDataset

from headstart.errors import UserError
from headstart.fit import Fitted, fit
from headstart.machine import quiet
from headstart.resume.best_checkpoint import BestCheckpoint
from headstart.resume.last_checkpoint import LastCheckpoint
from headstart.tracking.history import History, read_history

BATCHES, EPOCHS = 5, 4
PLAIN: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "max_epochs": EPOCHS,
    "enable_progress_bar": False, "enable_model_summary": False,
}  # fmt: skip
LIMITS = [
    {}, {"min_epochs": 2}, {"min_steps": 7}, {"max_time": "00:01:00:00"}, {"max_epochs": 1},
    {"max_steps": 1}, {"max_steps": 3}, {"max_steps": 5}, {"max_steps": 12}, {"max_steps": 99},
    {"max_steps": 7, "max_epochs": -1}, {"max_steps": 7, "max_epochs": None}, {"max_steps": 3, "min_epochs": 2},
    {"max_steps": 7, "val_check_interval": 2}, {"max_steps": 4, "accumulate_grad_batches": 2},
    {"max_steps": 6, "check_val_every_n_epoch": 2}, {"max_steps": 8, "limit_train_batches": 3},
    {"val_check_interval": 1}, {"val_check_interval": 2}, {"val_check_interval": 5}, {"val_check_interval": 0.5},
    {"val_check_interval": 7, "check_val_every_n_epoch": None}, {"check_val_every_n_epoch": 2},
    {"check_val_every_n_epoch": 3}, {"limit_train_batches": 2}, {"limit_train_batches": 0.5}, {"limit_val_batches": 1},
    {"limit_val_batches": 0.5}, {"limit_test_batches": 1}, {"limit_test_batches": 0}, {"num_sanity_val_steps": 0},
    {"num_sanity_val_steps": -1}, {"overfit_batches": 2}, {"fast_dev_run": True}, {"fast_dev_run": 3},
    {"accumulate_grad_batches": 2}, {"accumulate_grad_batches": 7}, {"log_every_n_steps": 0},
]  # fmt: skip

MANUAL = [{}, {"max_steps": 3}, {"max_steps": 12}, {"check_val_every_n_epoch": 2}]


class Line(LightningModule):
    """A weight that every batch pulls elsewhere, so that it tells which batches were trained on, and how often."""

    def __init__(self, manual: bool = False) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.automatic_optimization = not manual

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> dict[str, Any]:
        loss = (batch[0] - self.weight).square().mean()
        if not self.automatic_optimization:
            optimizer: Any = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return {"loss": loss, "hits": torch.tensor(1), "images": len(batch[0])}

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("val/loss", (batch[0] - self.weight).square().mean())

    def test_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("test/loss", (batch[0] - self.weight).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)


class Data(LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        numbers = torch.arange(2.0 * BATCHES)
        return DataLoader(TensorDataset(numbers[:, None], numbers), batch_size=2)

    val_dataloader = test_dataloader = train_dataloader


def run(folder: Path, limits: dict[str, Any], *more: Callback, manual: bool = False) -> tuple[Line, Trainer, Fitted]:
    """Fit with all that a run has by default."""
    quiet()
    best = BestCheckpoint(dirpath=folder, monitor="val/loss")
    last, stop = LastCheckpoint(folder, minutes=1e-9), EarlyStopping("val/loss", patience=99)
    model, callbacks = Line(manual), [best, last, *(more or [stop]), History(folder)]
    trainer = Trainer(**PLAIN | limits, callbacks=callbacks)
    resume_from = folder / "last.ckpt"
    return model, trainer, fit(model, Data(), trainer, resume_from if resume_from.exists() else None)


@pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")
@pytest.mark.parametrize(
    ("limits", "manual"),
    [*((one, False) for one in LIMITS), *((one, True) for one in LIMITS if one in MANUAL)],
    ids=str,
)
def test_what_is_trained_is_what_a_plain_trainer_trains(tmp_path: Path, limits: dict[str, Any], manual: bool) -> None:
    quiet()
    wanted = Trainer(**PLAIN | limits, enable_checkpointing=False)
    wanted.fit(plain := Line(manual), datamodule=Data())
    _, _, fitted = run(tmp_path, limits, manual=manual)
    if not limits.get("fast_dev_run"):
        kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
        assert kept["global_step"] == wanted.global_step
        assert torch.equal(kept["state_dict"]["weight"], plain.weight.data)
        assert fitted.best_checkpoint
    rows = read_history(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == list(range(wanted.current_epoch))
    assert rows[-1]["step"] == wanted.global_step
    assert ("test/loss" in fitted.metrics) == (limits.get("limit_test_batches") != 0)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_epochs": 0}, r"trainer\.max_epochs=0 trains nothing"),
        ({"max_steps": 0}, r"trainer\.max_steps=0 trains nothing"),
        ({"check_val_every_n_epoch": 9}, r"trainer\.check_val_every_n_epoch=9 of 4 epochs validates nothing"),
    ],
)
def test_limits_that_leave_nothing_are_refused(tmp_path: Path, limits: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        run(tmp_path, limits)


@pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 0}, {"patience": 1}, {"patience": 2, "min_delta": 5.0}, {"stopping_threshold": 30.0},
        {"divergence_threshold": 1.0}, {"check_on_train_epoch_end": False, "patience": 0, "min_delta": 100.0},
    ],
)  # fmt: skip
def test_early_stopping_ends_a_run_where_it_ends_a_plain_one(tmp_path: Path, options: dict[str, Any]) -> None:
    quiet()
    limits: dict[str, Any] = {"max_epochs": 30}
    stop = EarlyStopping("val/loss", **options)
    wanted = Trainer(**PLAIN | limits, callbacks=[stop], enable_checkpointing=False)
    wanted.fit(Line(), datamodule=Data())
    for _ in range(2):  # gone on with, it stays ended
        run(tmp_path, limits, EarlyStopping("val/loss", **options))
        rows = read_history(tmp_path / "metrics.csv")
        assert len(rows) == wanted.current_epoch > 0
        assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == wanted.global_step


class Keeps(Callback):
    def state_dict(self) -> dict[str, Any]:
        return {"path": Path("x")}


def test_a_callback_whose_state_cant_be_loaded_is_named_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its callback Keeps holds pathlib"):
        run(tmp_path, {}, Keeps())
    assert not read_history(tmp_path / "metrics.csv")
