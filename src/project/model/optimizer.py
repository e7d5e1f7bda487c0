"""Optimizer and scheduler as Lightning wants them."""

import inspect
from collections.abc import Callable
from typing import Any

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer

from headstart.errors import UserError


def optimize(
    groups: list[dict[str, Any]],
    optimizer: Callable[..., Optimizer],
    scheduler: Callable[..., Any] | None,
    lr: float,
    weight_decay: float,
    monitor: str,
    total_steps: Callable[[], float],
) -> OptimizerLRScheduler:
    """Give the parameter groups to the optimizer, and the optimizer to the scheduler.

    A scheduler that takes `total_steps` (torch's OneCycleLR, our warmup_cosine) is stepped after every step, any other
    after every epoch, where one that reacts to a metric looks at `monitor`.

    Raises:
        UserError: the optimizer can't use these values.
    """
    try:
        made = optimizer(groups, lr=lr, weight_decay=weight_decay)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the optimizer can't be built with model.lr={lr} model.weight_decay={weight_decay}: {error}"
        ) from error
    if scheduler is None:
        return made
    if "total_steps" not in inspect.signature(scheduler).parameters:
        return {"optimizer": made, "lr_scheduler": {"scheduler": scheduler(made), "monitor": monitor}}
    steps = total_steps()
    if steps == float("inf"):  # a search without an end
        return made
    return {
        "optimizer": made,
        "lr_scheduler": {"scheduler": scheduler(made, total_steps=int(steps)), "interval": "step"},
    }
