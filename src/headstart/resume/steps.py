"""What happens at every step: its draws come from seed and step, and a loss that is no number ends the run."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from ..errors import UserError

MAX_NAMED = 10


class FiniteLoss(Callback):
    """Raises UserError at the step whose loss is infinite or not a number, with the files of its batch.

    `files_of_batch(epoch, batch_idx)` names the images of a training batch. The checkpoints from before stay.
    """

    def __init__(self, files_of_batch: Callable[[int, int], list[str]]) -> None:
        self.files_of_batch = files_of_batch

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look at the loss of a step."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is None or torch.isfinite(loss).all():
            return
        files = self.files_of_batch(trainer.current_epoch, batch_idx)
        more = f" and {len(files) - MAX_NAMED} more" if len(files) > MAX_NAMED else ""
        where = f"in epoch {trainer.current_epoch + 1}, step {trainer.global_step}"
        images = f"its images are {', '.join(files[:MAX_NAMED])}{more}"
        raise UserError(f"the loss is {loss.item()} {where}: try {remedy_for(trainer)}; {images}")


def remedy_for(trainer: Trainer) -> str:
    """What may help against a number that is none: solver=lbfgs has no learning rate."""
    descends = trainer.lightning_module.automatic_optimization
    remedy = "a smaller model.lr" if descends else "a larger model.weakest, or solver=adamw"
    is_mixed = trainer.precision != "32-true"
    return f"trainer.precision=32-true instead of {trainer.precision}, or {remedy}" if is_mixed else remedy


def refuse_bad_weights(model: nn.Module, remedy: str = "a smaller model.lr") -> None:
    """Raise UserError where a trained weight is infinite or not a number."""
    bad = [name for name, weight in model.named_parameters() if weight.requires_grad and not weight.isfinite().all()]
    if bad:
        raise UserError(f"{bad[0]} is no finite number any more, and isn't saved: try {remedy}")


class StepSeed(Callback):
    """Seeds torch before every step: a run that goes on in the middle draws what it would have drawn."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Seed by seed, step and device; torch looks at 32 bits of it.

        `torch.manual_seed` takes longer than a linear head's step: for every kind of device that this process doesn't
        use, it notes the seed and the stack for later, each time.
        """
        place = trainer.fit_loop.epoch_loop.total_batch_idx * trainer.world_size + trainer.global_rank
        seed, device = self.seed * 1_000_003 + place, trainer.strategy.root_device
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)
