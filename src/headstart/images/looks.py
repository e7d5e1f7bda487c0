"""What is found out about images when every one is decoded before the first training on it."""

from typing import NamedTuple

from torch import Tensor

BLANK = 8  # the deviation of values from 0 to 255 below which an image is almost one colour: 12 bits read as 16 have 5
ENOUGH = 512  # pixels of a large image's shorter side, to see how it looks, and whether it is whole
SAMPLED = 32  # rows and columns of pixels, and up to twice as many: enough to tell


class Look(NamedTuple):
    """An upright image's size in pixels, its brightness from 0 to 255, and how far its values deviate from their mean.

    The deviation is that of the channel that varies most.
    """

    width: int
    height: int
    brightness: int
    deviation: int

    @property
    def is_blank(self) -> bool:
        """Whether every channel is nearly constant."""
        return self.deviation < BLANK


class CheckedImages(NamedTuple):
    """The broken files among those that were checked, how each of the others looks, and lists of equal ones."""

    broken: set[str]
    looks: dict[str, Look]
    duplicates: list[list[str]]

    @property
    def blank(self) -> list[str]:
        """Images of almost one colour."""
        return [path for path, look in self.looks.items() if look.is_blank]


def look_at(image: Tensor, size: tuple[int, int]) -> Look:
    """How an image uint8 [3, height, width] looks that has this size as a whole, as far as some of its pixels tell."""
    height, width = image.shape[1:]
    # By NumPy: torch's threads don't outlive a fork.
    pixels = image[:, :: max(1, height // SAMPLED), :: max(1, width // SAMPLED)].numpy()
    return Look(*size, int(pixels.mean()), int(pixels.std(axis=(1, 2)).max()))
