"""Settings that vary training images, which conf/augment has presets of; and mixing two images into one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from ..errors import UserError


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


class Mixing:
    """Mix each image of a batch with its neighbour, and their labels alike, in one proportion for the whole batch.

    Mixup blends them (Zhang et al. 2018, https://arxiv.org/abs/1710.09412), CutMix puts a rectangle of one into the
    other (Yun et al. 2019, https://arxiv.org/abs/1905.04899); where both have an alpha above 0, each batch draws
    one of the two, evenly. Draws torch's random numbers.
    """

    def __init__(self, num_classes: int, mixup: float = 0.0, cutmix: float = 0.0) -> None:
        kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
        self.kinds = [kind(alpha=float(alpha), num_classes=num_classes) for kind, alpha in kinds if alpha > 0]

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images [batch, 3, height, width] in uint8, with labels [batch] in int64.

        Returns mixed images of the same kind, and probabilities [batch, num_classes] in float32. Rounding moves no
        pixel by more than half a grey level, and a model tells images from features by their being uint8.
        """
        assert images.dtype == torch.uint8, "features from an earlier pass can't be mixed as images are"
        mix = self.kinds[int(torch.randint(len(self.kinds), ()))]
        mixed, probabilities = mix(images.float(), labels)
        return mixed.round_().to(torch.uint8), probabilities
