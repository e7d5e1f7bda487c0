"""Settings that vary training images, which conf/augment has presets of; they are checked before torch is loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def _is_range(scale: Any) -> bool:
    pair = isinstance(scale, list | tuple) and len(scale) == 2 and all(map(_is_number, scale))
    return pair and 0 < scale[0] <= scale[1] <= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Augment:
    """How training images are varied each time; by default not at all.

    `scale` is the smallest and the largest fraction of an image's area that a random crop holds; `flip` mirrors half of
    the images; `policy` takes uint8 [3, crop, crop] and returns the same, drawing torch's random numbers, as the
    transforms of torchvision do. `mixup` and `cutmix` are the alphas of `Mixing`.

    Raises:
        UserError: a value makes no sense.
    """

    scale: Sequence[float] | None = None
    flip: bool = False
    policy: Callable[[Tensor], Tensor] | None = None
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if self.scale is not None and not _is_range(self.scale):
            raise UserError(f"augment.scale={self.scale}: give two fractions of the area, such as [0.5,1.0], or null")
        if self.flip not in (True, False):
            raise UserError(f"augment.flip={self.flip}: choose true or false")
        if self.policy is not None and not callable(self.policy):
            raise UserError(f"augment.policy={self.policy}: choose augment=randaugment or augment=trivial, or null")
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not _is_number(alpha) or not 0 <= alpha < math.inf:
                raise UserError(f"augment.{name}={alpha} must be a number from 0 up; 0 turns it off")

    @property
    def varies(self) -> bool:
        """Whether a training image looks new each time, so that its features can't be kept."""
        return self != Augment()

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed."""
        return self.mixup > 0 or self.cutmix > 0


LIGHT = Augment(scale=(0.5, 1.0), flip=True)
