"""A torch Dataset: from samples to images of the size that the backbone wants, several at a time."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from ..backbone import Preprocessing
from ..machine import usable_cores
from .augmentation import LIGHT, Augment
from .decoding import read_image
from .table import Sample
from .transforms import RandomView, ResizeAndCrop


class ImageDataset(Dataset[tuple[Tensor, int]]):
    """Reads image `i` as (uint8 [3, crop, crop], label).

    `view=0` is the image as the backbone's weights want it. Any other view is one that `augment` draws, and the
    numbers of view and image are its seed; with `view=None`, `i + n * len(self)` is the `n`-th one that `seed` draws.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        preprocessing: Preprocessing,
        view: int | None = 0,
        seed: int = 0,
        augment: Augment = LIGHT,
    ) -> None:
        self.samples = samples
        self.view, self.seed = view, seed
        self.plain = ResizeAndCrop(preprocessing)
        self.augmented = RandomView(preprocessing, augment)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._read(index)

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        """Read a whole batch: in a worker one after the other, in the main process on all cores."""
        read = map if get_worker_info() else threads().map  # decoding and resizing release the GIL
        return list(read(self._read, indices))

    def _read(self, index: int) -> tuple[Tensor, int]:
        draw, row = divmod(index, len(self.samples))
        path, label = self.samples[row]
        image = read_image(path)
        if self.view == 0:
            return self.plain(image), label
        return self.augmented(image, [self.seed, draw, row] if self.view is None else [self.view, row]), label


def threads() -> ThreadPoolExecutor:
    """This process's threads for decoding: one that was forked has none of its parent's."""
    return _threads_of(os.getpid())


@cache
def _threads_of(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001
    return ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode")
