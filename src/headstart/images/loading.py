"""How images are read: in which size and look and batches, by how many processes, and if they are broken."""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from ..backbone import Preprocessing
from ..errors import UserError
from ..machine import SIGNALS, usable_cores
from .augmentation import LIGHT, Augment
from .checks import MAX_PIXELS, without_broken
from .decoding import read_image
from .fixes import apply_fixes
from .looks import CheckedImages
from .shrunk import shrunk_images
from .table import ImageTable, Sample
from .transforms import RandomView

AUTO: Literal["auto"] = "auto"
MAX_AUTO_WORKERS = 8
ON_ERROR = ("raise", "skip")


@dataclass(frozen=True)
class Loading:
    """What every source of images is told about reading them.

    `num_workers="auto"` takes none on a CPU, where they would fight with the backbone for the cores: all of them decode
    a batch, then all compute. Beside another device it takes one for each core that this process may use, eight at
    most. `on_error="raise"` refuses images that are broken, or larger than `max_pixels`; `skip` leaves them out.
    `checked_dir` is where sets of files that were checked are remembered. `fixes` is a CSV file of what is to be done
    about images, such as the doctor's: see `apply_fixes`. With `shrink="auto"`, epochs of live training read large
    images from small copies, in `shrunk` beside `checked_dir`; with False, as they are.

    Raises:
        UserError: a value makes no sense.
    """

    batch_size: int = 64
    num_workers: Literal["auto"] | int = "auto"
    on_error: str = "raise"
    max_pixels: int = MAX_PIXELS
    checked_dir: str | Path = "data/checked"
    fixes: str | Path | None = None
    shrink: Literal["auto", False] = AUTO

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch_size), ("max_pixels", self.max_pixels)):
            if not isinstance(value, int) or value < 1:
                raise UserError(f"data.{name}={value} must be a whole number from 1 up")
        if self.num_workers != "auto" and (not isinstance(self.num_workers, int) or self.num_workers < 0):
            raise UserError(f"data.num_workers={self.num_workers} must be auto, or a whole number from 0 up")
        if self.on_error not in ON_ERROR:
            raise UserError(f"data.on_error={self.on_error}: choose {' or '.join(ON_ERROR)}")
        if self.shrink not in (AUTO, False):
            raise UserError(f"data.shrink={self.shrink}: choose auto or false")

    def checked(self, table: ImageTable) -> ImageTable:
        """The table with what `fixes` says, and without broken images; raises UserError for what is wrong with it."""
        return without_broken(apply_fixes(table, self.fixes), self.checked_dir, self.on_error, self.max_pixels)

    def shrink_large(self, dataset: "ImageDataset", checked: CheckedImages | None) -> None:
        """Let a dataset that is read in every epoch read its large images from small copies of them."""
        if self.shrink and checked:
            paths, folder = [sample.path for sample in dataset.samples], Path(self.checked_dir).parent / "shrunk"
            if found := shrunk_images(paths, checked.looks, dataset.look.shortest, folder):
                dataset.read = found.read

    def loader(self, dataset: Dataset[Any], device: str, **batching: Any) -> DataLoader:
        """Batches for a device of the type `device`; `batching` is a DataLoader's `batch_size` or `batch_sampler`."""
        workers = self.num_workers
        if isinstance(workers, str):
            workers = 0 if device == "cpu" else min(usable_cores(), MAX_AUTO_WORKERS)
        if workers:
            _end_workers_at_exit()
        return DataLoader(
            dataset,
            **batching,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device == "cuda",
            worker_init_fn=_ignore_signals,
        )


def _ignore_signals(worker: int) -> None:  # noqa: ARG001 (its number)
    """For worker processes: Ctrl-C and schedulers reach them, too, but it is the main process that ends them."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@cache
def _end_workers_at_exit() -> None:
    """See to it that they end with this process: at its exit, Python asks them by the signal that they ignore."""
    atexit.register(lambda: [child.kill() for child in multiprocessing.active_children() if child.daemon])


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
        self.look = RandomView(preprocessing, Augment() if view == 0 else augment)
        self.read: Callable[[str], Tensor] = partial(read_image, shortest=self.look.shortest)

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
        seed = [self.seed, draw, row] if self.view is None else [self.view, row]
        return self.look(self.read(path), seed), label


def threads() -> ThreadPoolExecutor:
    """This process's threads for decoding: one that was forked has none of its parent's."""
    return _threads_of(os.getpid())


@cache
def _threads_of(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001
    return ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode")
