"""The learning rate at which the loss falls fastest, from a short training in which it rises at every step."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100
SMOOTHING = 0.98  # of the losses: a running mean
DIVERGED = 4.0  # times the lowest loss
FALLEN = 0.99  # of the loss in the beginning: less of a fall is noise
SKIPPED = 10  # the first points, which are means of a few losses only


class RateSearch(Callback):
    """The range test of Smith 2017 (https://arxiv.org/abs/1506.01186): `rates`, and the smoothed `losses` at them.

    The rates go up exponentially; the search ends when the loss is no number, or far above its lowest. A group of
    parameters keeps its share: its own rate, in a model whose learning rate is 1, is multiplied by the rate that is
    looked at. Lightning's LR finder gives all groups the same rate, and picks by the slope over the rate itself,
    where noise at the lowest rates outweighs everything.
    """

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._shares: list[float] = []
        self._mean = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note each group's share, and take the model's scheduler away."""
        self._shares = [group["lr"] for group in trainer.optimizers[0].param_groups]
        trainer.strategy.lr_scheduler_configs = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the rate of this step, which takes several batches when gradients are accumulated."""
        rate = LOWEST * (HIGHEST / LOWEST) ** (trainer.global_step / (STEPS - 1))
        for group, share in zip(trainer.optimizers[0].param_groups, self._shares, strict=True):
            group["lr"] = rate * share
        if len(self.rates) == trainer.global_step:
            self.rates.append(rate)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss behind each step, and stop where it makes no sense to go on."""
        done = len(self.losses)
        if trainer.global_step == done:
            return
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        # Lightning hands on the loss of one batch divided by how many make a step.
        loss = loss.detach() * trainer.accumulate_grad_batches
        value = float(trainer.strategy.reduce(loss, reduce_op="mean"))
        self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * value
        self.losses.append(self._mean / (1 - SMOOTHING ** (done + 1)))
        diverged = not math.isfinite(value) or self.losses[-1] > DIVERGED * min(self.losses)
        if diverged or len(self.losses) == STEPS:
            trainer.should_stop = True

    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest, by the logarithm of the rate; None when it hardly falls at all."""
        losses = torch.tensor(self.losses, dtype=torch.float64)
        rates = torch.tensor(self.rates[: len(losses)], dtype=torch.float64)
        rates, losses = rates[losses.isfinite()][SKIPPED:], losses[losses.isfinite()][SKIPPED:]
        if len(losses) < 2 or losses.min() >= FALLEN * losses[0]:
            return None
        slopes = torch.gradient(losses, spacing=(rates.log(),))[0]
        return float(f"{rates[slopes.argmin()]:.2g}")

    def plot(self, path: Path) -> None:
        """Draw the smoothed loss by learning rate, with the suggested one marked."""
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates[: len(self.losses)], self.losses)
        if (suggested := self.suggestion()) is not None:
            axes.axvline(suggested, color="C1", label=f"suggested: {suggested:g}")
            axes.legend(frameon=False)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss of a training batch, smoothed")
        axes.grid(alpha=0.3)
        figure.savefig(path, dpi=100)
