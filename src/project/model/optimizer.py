"""Optimizer and learning rate schedule, as Lightning wants them."""

import inspect
import math
from typing import Any

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from headstart.errors import UserError


def optimize(model: Any, groups: list[dict[str, Any]], direction: str | None = None) -> OptimizerLRScheduler:
    """Give the parameter groups to the model's optimizer, and that to its scheduler: see `conf/solver/adamw.yaml`.

    A scheduler that takes `total_steps` (torch's OneCycleLR, our warmup_cosine) is stepped after every step, any other
    after every epoch, where one that reacts to a metric (torch's ReduceLROnPlateau) looks at `monitor`, of which the
    `direction`, `min` or `max`, is the best. Raises UserError for values that the optimizer can't use.
    """
    try:
        made = model.optimizer(groups, lr=model.lr, weight_decay=model.weight_decay)
    except (TypeError, ValueError) as error:
        values = f"model.lr={model.lr} model.weight_decay={model.weight_decay}"
        raise UserError(f"the optimizer can't be built with {values}: {error}") from error
    if model.scheduler is None:
        return made
    parameters = inspect.signature(model.scheduler).parameters
    if "total_steps" not in parameters:
        reacts = "mode" in parameters and parameters["mode"].default in ("min", "max")  # CyclicLR's mode is another
        schedule = model.scheduler(made, **({"mode": direction} if reacts and direction else {}))
        every = model.trainer.check_val_every_n_epoch if reacts else 1  # there is something to react to
        config: Any = {"scheduler": schedule, "monitor": model.monitor, "frequency": every or 1, "strict": bool(every)}
        return {"optimizer": made, "lr_scheduler": config}
    steps = model.trainer.estimated_stepping_batches
    if steps == math.inf:  # a search without an end
        return made
    schedule = model.scheduler(made, total_steps=int(steps))
    return {"optimizer": made, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmup_cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.1) -> LambdaLR:
    """Rise in a line for the fraction `warmup` of all steps, then fall to zero as a half cosine.

    Of every group's own learning rate, so that their ratios stay. Loshchilov and Hutter 2017,
    https://arxiv.org/abs/1608.03983; Goyal et al. 2017, https://arxiv.org/abs/1706.02677. Raises UserError for a
    `warmup` that is no fraction.
    """
    if not 0 <= warmup < 1:
        raise UserError(f"model.scheduler.warmup={warmup} must be a fraction of all steps, below 1")
    rising = round(warmup * total_steps)

    def scale(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * min((step - rising) / max(total_steps - rising, 1), 1)))

    return LambdaLR(optimizer, scale)
