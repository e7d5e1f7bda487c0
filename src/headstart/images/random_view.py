"""One training image made to look new: a random crop, a flip, a change of colour or shape."""

import math
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812 (the name everybody gives it)

from ..backbone import Preprocessing
from .augmentation import LIGHT, Augment
from .transforms import ResizeAndCrop

RATIO = (3 / 4, 4 / 3)  # width by height
_torch_numbers = Lock()  # those that torch draws are one sequence for all threads


class RandomView:
    """Cut a random rectangle out of a uint8 image [3, height, width], resize it to [3, crop, crop], and so on.

    The rectangle is drawn as in Inception's training (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842); without a
    `scale`, it is what the backbone's weights ask for. The same `seed` gives the same view, in any thread or worker.
    """

    def __init__(self, preprocessing: Preprocessing, augment: Augment = LIGHT) -> None:
        self.augment = augment
        self.plain = ResizeAndCrop(preprocessing)
        self.crop = preprocessing.crop
        self.interpolation = InterpolationMode(preprocessing.interpolation)

    def __call__(self, image: Tensor, seed: int | list[int]) -> Tensor:
        """Do it for one image."""
        rng = np.random.default_rng(seed)
        scale, policy = self.augment.scale, self.augment.policy
        image = self._crop(image, scale, rng) if scale else self.plain(image)
        if self.augment.flip and rng.random() < 0.5:
            image = F.horizontal_flip(image)
        return _apply(policy, image, int(rng.integers(2**63))) if policy else image

    def _crop(self, image: Tensor, scale: Sequence[float], rng: np.random.Generator) -> Tensor:
        height, width = image.shape[-2:]
        area = height * width * rng.uniform(scale[0], scale[1])
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        crop_width = max(1, min(width, round(math.sqrt(area * ratio))))
        crop_height = max(1, min(height, round(math.sqrt(area / ratio))))
        top = int(rng.integers(height - crop_height + 1))
        left = int(rng.integers(width - crop_width + 1))
        image = image[:, top : top + crop_height, left : left + crop_width]
        return F.resize(image, [self.crop, self.crop], interpolation=self.interpolation, antialias=True)


def _apply(policy: Callable[[Tensor], Tensor], image: Tensor, seed: int) -> Tensor:
    """Let a transform draw from torch's global numbers as if they began at `seed`; nobody else's draws are moved."""
    with _torch_numbers, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed a GPU, too
        return policy(image)
