"""From an image of any size to the square that the backbone's weights ask for: as it is, or a random view of it."""

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
from .scaled import KEPT

MAX_ASPECT_RATIO = 4
CROP_RATIOS = (3 / 4, 4 / 3)  # width by height of random crops
_torch_generator = Lock()  # one sequence of random numbers for all threads


class ResizeAndCrop:
    """Resize and centre-crop a uint8 image [3, height, width] to uint8 [3, crop, crop].

    Everything stays uint8: torchvision's antialiased resize is fastest there, and the batch that travels to
    the device is a quarter of the size. Normalisation belongs to the model. Of an image's shorter side, no more than
    `shortest` pixels are needed.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.size = preprocessing.resize if isinstance(preprocessing.resize, tuple) else (preprocessing.resize,)
        self.crop = preprocessing.crop
        self.interpolation = InterpolationMode(preprocessing.interpolation)
        self.shortest = KEPT * max(*self.size, self.crop)

    def __call__(self, image: Tensor) -> Tensor:
        """Transform one image."""
        if len(self.size) == 1:
            image = _limit_aspect_ratio(image)
        image = F.resize(image, list(self.size), interpolation=self.interpolation, antialias=True)
        return F.center_crop(image, [self.crop, self.crop])


class RandomView:
    """Crop a random rectangle of a uint8 image [3, height, width], resize it to [3, crop, crop], flip it, and so on.

    The rectangle is drawn as in Inception's training (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842); without a
    `scale`, it is what the backbone's weights ask for. The same `seed` gives the same view, in any thread or worker.
    """

    def __init__(self, preprocessing: Preprocessing, augment: Augment = LIGHT) -> None:
        self.augment = augment
        self.plain = ResizeAndCrop(preprocessing)
        self.shortest = self.plain.shortest
        if augment.scale:  # the least that a crop's side can be, of the image's
            self.shortest = math.ceil(KEPT * self.plain.crop / math.sqrt(augment.scale[0] * CROP_RATIOS[0]))

    def __call__(self, image: Tensor, seed: int | list[int]) -> Tensor:
        """Draw one view of one image."""
        rng = np.random.default_rng(seed)
        scale, policy = self.augment.scale, self.augment.policy
        image = self._random_crop(image, scale, rng) if scale else self.plain(image)
        if self.augment.flip and rng.random() < 0.5:
            image = F.horizontal_flip(image)
        return _apply_seeded(policy, image, int(rng.integers(2**63))) if policy else image

    def _random_crop(self, image: Tensor, scale: Sequence[float], rng: np.random.Generator) -> Tensor:
        height, width = image.shape[-2:]
        area = height * width * rng.uniform(scale[0], scale[1])
        ratio = math.exp(rng.uniform(math.log(CROP_RATIOS[0]), math.log(CROP_RATIOS[1])))
        crop_width = max(1, min(width, round(math.sqrt(area * ratio))))
        crop_height = max(1, min(height, round(math.sqrt(area / ratio))))
        top = int(rng.integers(height - crop_height + 1))
        left = int(rng.integers(width - crop_width + 1))
        size, interpolation = [self.plain.crop] * 2, self.plain.interpolation
        return F.resized_crop(image, top, left, crop_height, crop_width, size, interpolation, antialias=True)


def _limit_aspect_ratio(image: Tensor) -> Tensor:
    """Cut off the ends that the centre crop drops anyway, so that 20 x 20,000 pixels don't fill the memory."""
    height, width = image.shape[-2:]
    longest = MAX_ASPECT_RATIO * min(height, width)
    return F.center_crop(image, [min(height, longest), min(width, longest)])


def _apply_seeded(policy: Callable[[Tensor], Tensor], image: Tensor, seed: int) -> Tensor:
    """Apply a transform as if torch's random numbers began at `seed`; other draws stay what they would have been."""
    with _torch_generator, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed a GPU, too
        return policy(image)
