"""Random crops and flips: what makes more of few pictures."""

import math

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812 (the name everybody gives it)

from headstart.backbones import Preprocessing

SCALE = (0.5, 1.0)  # share of the picture's area
RATIO = (3 / 4, 4 / 3)  # width by height


class RandomCropAndFlip:
    """Cut a random rectangle out of a uint8 picture [3, height, width], resize it to [3, crop, crop], maybe flip it.

    The rectangle is drawn as in Inception's training (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842), but holds
    half of the picture at least: a frozen backbone can't learn to see through stronger crops. The same `seed` gives
    the same crop and flip.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.crop = preprocessing.crop
        self.interpolation = InterpolationMode(preprocessing.interpolation)

    def __call__(self, picture: Tensor, seed: int | list[int]) -> Tensor:
        """Do it for one picture."""
        rng = np.random.default_rng(seed)
        height, width = picture.shape[-2:]
        area = height * width * rng.uniform(*SCALE)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        crop_width = max(1, min(width, round(math.sqrt(area * ratio))))
        crop_height = max(1, min(height, round(math.sqrt(area / ratio))))
        top = int(rng.integers(height - crop_height + 1))
        left = int(rng.integers(width - crop_width + 1))
        picture = picture[:, top : top + crop_height, left : left + crop_width]
        picture = F.resize(picture, [self.crop, self.crop], interpolation=self.interpolation, antialias=True)
        return F.horizontal_flip(picture) if rng.random() < 0.5 else picture
