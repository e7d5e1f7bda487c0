"""Tells the loggers of every epoch how training goes: learning rates, gradient norm, speed and memory."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from headstart.tracking.show import Show, step_of


class TrainingScalars(Callback):
    """Logs `lr/GROUP`, `training/gradient_norm`, `.../images_per_second` and `.../gpu_memory_gib` for each epoch.

    The norm is that of all gradients together, before they are clipped, as a mean over the epoch's steps; in an epoch
    that was gone on with, over those since. The speed is over all devices, without validation; the memory is the most
    that this process took of its GPU. They go to the loggers alone: metrics.csv is the same, bit for bit, however often
    a run was stopped. Lightning's LearningRateMonitor adds its values there, and needs a logger.
    """

    def __init__(self) -> None:
        self.norm: Tensor | None = None  # of the last step's gradients
        self.solver: Optimizer | None = None
        self.norms: list[Tensor] = []
        self.images, self.started, self.seconds = 0, 0.0, 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self.norm, self.norms, self.images, self.started = None, [], 0, time.perf_counter()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure the gradients; solver=lbfgs asks for many, of which the last is the step's, and is measured below."""
        whole = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)  # a sharded model's are elsewhere
        if whole and pl_module.automatic_optimization:
            self.norm = gradient_norm(optimizer)
        elif whole:
            self.solver = optimizer

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch, and note the norm if it made a step."""
        self.images += len(batch[1]) * trainer.world_size
        if self.solver is not None:
            self.norm, self.solver = gradient_norm(self.solver), None
        self.norms += [] if self.norm is None else [self.norm]
        self.norm, self.seconds = None, time.perf_counter() - self.started

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log, at the step at which Lightning logs an epoch's means."""
        if not trainer.loggers or not self.images:
            return
        found = {"training/images_per_second": self.images / max(self.seconds, 1e-9)}
        if pl_module.automatic_optimization:  # solver=lbfgs has no learning rate
            groups = enumerate(trainer.optimizers[0].param_groups)
            found |= {f"lr/{group.get('name', number)}": float(group["lr"]) for number, group in groups}
        if self.norms:
            found["training/gradient_norm"] = float(torch.stack(self.norms).mean())
        if trainer.strategy.root_device.type == "cuda":
            found["training/gpu_memory_gib"] = torch.cuda.max_memory_allocated(trainer.strategy.root_device) / 2**30
        Show(trainer, step_of(trainer) - 1).scalars("", found)


def gradient_norm(optimizer: Optimizer) -> Tensor | None:
    """The Euclidean norm of all gradients together; None where there are none."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    return get_total_norm(gradients) if gradients else None
