"""Learning rates by step."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from headstart.errors import UserError


def warmup_cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.1) -> LambdaLR:
    """Rise in a line for the share `warmup` of all steps, then fall to zero as a half cosine.

    Of every group's own learning rate, so that their ratios stay. Loshchilov and Hutter 2017,
    https://arxiv.org/abs/1608.03983; Goyal et al. 2017, https://arxiv.org/abs/1706.02677. Raises UserError for a
    `warmup` that is no share.
    """
    if not 0 <= warmup < 1:
        raise UserError(f"model.scheduler.warmup={warmup} must be a share of all steps, below 1")
    rising = round(warmup * total_steps)

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * min((step - rising) / max(total_steps - rising, 1), 1)))

    return LambdaLR(optimizer, share)
