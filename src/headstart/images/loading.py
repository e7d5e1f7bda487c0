"""How images are read: in which batches, by how many processes, and what becomes of broken ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from ..errors import UserError
from ..machine import usable_cores
from ..resume.signals import end_workers_at_exit, ignore_signals
from .checks import MAX_PIXELS

MAX_AUTO_WORKERS = 8
ON_ERROR = ("raise", "skip")


@dataclass(frozen=True)
class Loading:
    """What every source of images is told about reading them.

    `num_workers="auto"` takes none on a CPU, where they would fight with the backbone for the cores: all of them decode
    a batch, then all compute. Beside another device it takes one for each core that this process may use, eight at
    most. `on_error="raise"` refuses images that are broken, or larger than `max_pixels`; `skip` leaves them out.
    `checked_dir` is where sets of files that were checked are remembered.

    Raises:
        UserError: a value makes no sense.
    """

    batch_size: int = 64
    num_workers: int | str = "auto"
    on_error: str = "raise"
    max_pixels: int = MAX_PIXELS
    checked_dir: str | Path = "data/checked"

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch_size), ("max_pixels", self.max_pixels)):
            if not isinstance(value, int) or value < 1:
                raise UserError(f"data.{name}={value} must be a whole number from 1 up")
        if self.num_workers != "auto" and (not isinstance(self.num_workers, int) or self.num_workers < 0):
            raise UserError(f"data.num_workers={self.num_workers} must be auto, or a whole number from 0 up")
        if self.on_error not in ON_ERROR:
            raise UserError(f"data.on_error={self.on_error}: choose {' or '.join(ON_ERROR)}")

    def loader(self, dataset: Dataset[Any], device: str, **batching: Any) -> DataLoader:
        """Batches for a device of the type `device`; `batching` is a DataLoader's `batch_size` or `batch_sampler`."""
        workers = self.num_workers
        if isinstance(workers, str):
            workers = 0 if device == "cpu" else min(usable_cores(), MAX_AUTO_WORKERS)
        if workers:
            end_workers_at_exit()
        return DataLoader(
            dataset,
            **batching,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device == "cuda",
            worker_init_fn=ignore_signals,
        )
