"""An epoch of the head with all that Lightning does around it, against the same epoch in a bare PyTorch loop."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)

from project.model.classifier import Classifier
from project.model.logistic_regression import LogisticRegression, solve


class EpochTimes(Callback):
    """Seconds from the start of the first epoch to the end of the last, by epochs."""

    def __init__(self) -> None:
        self.per_epoch = 0.0
        self._started = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the watch; the sanity check and the loading of data are over."""
        self._started = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop it."""
        self.per_epoch = (time.perf_counter() - self._started) / trainer.current_epoch


def lightning_epoch(trainer: Trainer, model: Classifier, data: LightningDataModule) -> tuple[float, int]:
    """Seconds per epoch of a whole fit with its loggers, checkpoints and validation, and how many epochs it took."""
    times = EpochTimes()
    trainer.callbacks.append(times)  # pyright: ignore[reportAttributeAccessIssue] (Lightning sets it by a mixin)
    trainer.fit(model, data)
    return times.per_epoch, trainer.current_epoch


def bare_epoch(model: Classifier, data: LightningDataModule, epochs: int) -> float:
    """Seconds per epoch of the same training and validation, with no logging, no checkpoint and no Lightning.

    `data` has been through a fit: its features are there. `model` is new.
    """
    train, val = data.train_dataloader(), data.val_dataloader()
    device = next(iter(val))[0].device
    model.head.to(device)
    model.trainer = data.trainer  # which knows how many steps a schedule has
    optimizers: Any = model.configure_optimizers()
    started = time.perf_counter()
    for epoch in range(epochs):
        model.head.train()
        if isinstance(model, LogisticRegression):
            ((features, labels),) = train
            solve(model.head, features, labels, model.penalty(epoch), optimizers.step)
            optimizers.state.clear()
        else:
            _descend(model, train, optimizers)
        model.head.eval()
        with torch.no_grad():
            for features, labels in val:
                logits = model.head(features)
                F.cross_entropy(logits, labels).item()
                (logits.argmax(dim=1) == labels).float().mean().item()
    return (time.perf_counter() - started) / epochs


def _descend(model: Classifier, batches: Any, optimizers: Any) -> None:
    optimizer, schedule = optimizers, {}
    if isinstance(optimizers, dict):
        optimizer, schedule = optimizers["optimizer"], optimizers["lr_scheduler"]
    for features, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(model.head(features), labels).backward()
        optimizer.step()
        if schedule.get("interval") == "step":
            schedule["scheduler"].step()
