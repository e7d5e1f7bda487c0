"""Makes what a training step draws, dropout above all, a function of seed and step."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class StepSeed(Callback):
    """Seeds torch before every step: a run that goes on in the middle draws what it would have drawn."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Seed by seed, step and device; torch looks at 32 bits of it."""
        place = trainer.fit_loop.epoch_loop.total_batch_idx * trainer.world_size + trainer.global_rank
        _seed(trainer.strategy.root_device, self.seed * 1_000_003 + place)


def _seed(device: torch.device, seed: int) -> None:
    """What a step can draw from: `torch.manual_seed` takes longer than a linear head's step.

    For every kind of device that this process doesn't use, it notes the seed and the stack for later, each time.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
