"""A run that goes on with another learning rate, or schedule, has the one of a run that began with it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader

from headstart.machine import prepare_process
from headstart.resume.schedule import NewSchedule, ended

EPOCHS, HALF = 6, 3  # of four steps
SCHEDULES: dict[str, Callable[[Optimizer, float], Any]] = {
    "none": lambda *_: None,
    "every epoch": lambda optimizer, gamma: ExponentialLR(optimizer, gamma),
    "every second": lambda optimizer, gamma: StepLR(optimizer, step_size=2, gamma=gamma),
    "recursive": lambda optimizer, gamma: CosineAnnealingLR(optimizer, T_max=EPOCHS, eta_min=gamma / 100),
    "every step": lambda optimizer, gamma: OneCycleLR(optimizer, [0.3 * gamma, 0.6], total_steps=4 * EPOCHS),
    "function": lambda optimizer, gamma: LambdaLR(optimizer, lambda step: gamma**step),
}


class Model(LightningModule):
    """Two parameter groups; notes the settings of each of its steps."""

    def __init__(self, lr: float, gamma: float, schedule: str, make: Callable[..., Optimizer]) -> None:
        super().__init__()
        self.layer, self.lr, self.gamma, self.schedule, self.make = nn.Linear(3, 1), lr, gamma, schedule, make
        self.seen: list[list[dict[str, Any]]] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        groups = self.trainer.optimizers[0].param_groups
        self.seen.append([{key: value for key, value in group.items() if key != "params"} for group in groups])
        return self.layer(batch).square().mean()

    def configure_optimizers(self) -> Any:
        groups = [{"params": [self.layer.weight]}, {"params": [self.layer.bias], "lr": self.lr / 2}]
        optimizer = self.make(groups, lr=self.lr)
        made = SCHEDULES[self.schedule](optimizer, self.gamma)
        interval = "step" if self.schedule in ("every step", "function") else "epoch"
        return [optimizer], [{"scheduler": made, "interval": interval}] if made else []


def fit(model: LightningModule, epochs: int, *callbacks: Callback, **options: Any) -> Trainer:
    prepare_process()
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(model, DataLoader(torch.ones(8, 3), batch_size=2), **options)  # pyright: ignore[reportArgumentType]
    return trainer


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_changed_is_as_if_it_had_been_from_the_start(tmp_path: Path, schedule: str) -> None:
    then, now = partial(AdamW, weight_decay=0.1), partial(AdamW, weight_decay=0.2, betas=(0.5, 0.6))
    whole = Model(0.4, 0.7, schedule, now)
    fit(whole, EPOCHS)
    half, rest, same = (
        Model(0.1, 0.9, schedule, then),
        Model(0.4, 0.7, schedule, now),
        Model(0.1, 0.9, schedule, then),
    )
    fit(half, HALF, NewSchedule()).save_checkpoint(tmp_path / "half.ckpt")
    fit(rest, EPOCHS, NewSchedule(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    for found, wanted in zip(rest.seen, whole.seen[4 * HALF :], strict=True):
        for group, other in zip(found, wanted, strict=True):
            assert other.items() <= group.items()
    fit(same, EPOCHS, NewSchedule(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    unstopped = Model(0.1, 0.9, schedule, then)
    fit(unstopped, EPOCHS, NewSchedule())
    assert half.seen + same.seen == unstopped.seen


def test_what_a_schedule_has_seen_of_a_metric_stays(tmp_path: Path) -> None:
    class Plateau(Model):
        def configure_optimizers(self) -> Any:
            optimizer = SGD(self.parameters(), lr=self.lr)
            made = ReduceLROnPlateau(optimizer, factor=self.gamma, patience=0)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, "monitor": "one"}}

        def on_train_epoch_end(self) -> None:
            self.log("one", 1.0)

    fit(Plateau(1.0, 0.5, "none", SGD), 3, NewSchedule()).save_checkpoint(tmp_path / "half.ckpt")
    model = Plateau(8.0, 0.25, "none", SGD)
    fit(model, 5, NewSchedule(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    # The first epoch is the best, each of the two after it was a quarter; from now on each is a quarter.
    assert [groups[0]["lr"] for groups in model.seen[::4]] == [8.0 / 4, 8.0 / 16]


@pytest.mark.parametrize(("patience", "waited", "is_over"), [(0, 0, False), (0, 1, True), (2, 1, False), (2, 2, True)])
def test_early_stopping_has_ended_a_run_once_it_has_waited(patience: int, waited: int, is_over: bool) -> None:
    stopping = EarlyStopping("val/loss", patience=patience)
    trainer = Trainer(accelerator="cpu", callbacks=[stopping], logger=False, enable_checkpointing=False)
    callbacks = {stopping.state_key: {"wait_count": waited}}
    said = ended(trainer, {"epoch": 1, "global_step": 5, "callbacks": callbacks})
    assert (said is not None) == is_over
