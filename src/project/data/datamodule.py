"""The LightningDataModule: tables of images in, batches of uint8 images and labels out."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset, Subset

from headstart.backbone import Preprocessing
from headstart.errors import UserError
from headstart.images.augmentation import LIGHT, Augment
from headstart.images.balance import BALANCE, balanced_class_weights, balanced_sample_weights
from headstart.images.checks import MAX_PIXELS, without_broken
from headstart.images.dataset import ImageDataset
from headstart.images.order import EpochBatches, Order, position_of
from headstart.images.table import ImageTable
from headstart.machine import usable_cores
from headstart.resume.signals import end_workers_at_exit, ignore_signals

MAX_AUTO_WORKERS = 8
ON_ERROR = ("raise", "skip")


class ImageData(LightningDataModule):
    """Images in batches of (uint8 [batch, 3, crop, crop], labels int64 [batch]).

    `find` returns the table of images; it is called once, by `setup`. `preprocessing` is the backbone's and has to be
    set before the first loader is asked for; `seed` decides the order of training, and `augment` how each training
    image is varied. `num_workers="auto"` takes none on a CPU, where they would fight with the backbone for the cores:
    all of them decode a batch, then all compute. Beside another device it takes one for each core that this process may
    use, eight at most. `on_error="raise"` refuses images that are broken, or larger than `max_pixels`; `skip` leaves
    them out. `checked_dir` is where sets of files that were checked are remembered. `balance="sampler"` draws training
    images so that all classes are equally likely, `weights` has `class_weights`.
    """

    def __init__(
        self,
        find: Callable[[], ImageTable],
        batch_size: int = 64,
        num_workers: int | str = "auto",
        on_error: str = "raise",
        max_pixels: int = MAX_PIXELS,
        checked_dir: str | Path = "data/checked",
        balance: str = "none",
    ) -> None:
        super().__init__()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise UserError(f"data.batch_size={batch_size} must be a whole number from 1 up")
        if num_workers != "auto" and (not isinstance(num_workers, int) or num_workers < 0):
            raise UserError(f"data.num_workers={num_workers} must be auto, or a whole number from 0 up")
        for key, value, choices in (("on_error", on_error, ON_ERROR), ("balance", balance, BALANCE)):
            if value not in choices:
                raise UserError(f"data.{key}={value}: choose {' or '.join(choices)}")
        if not isinstance(max_pixels, int) or max_pixels < 1:
            raise UserError(f"data.max_pixels={max_pixels} must be a whole number from 1 up")
        self.find = find
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.on_error = on_error
        self.max_pixels = max_pixels
        self.checked_dir = checked_dir
        self.balance = balance
        self.seed = 0
        self.augment = Augment()
        self.preprocessing: Preprocessing | None = None
        self.table: ImageTable | None = None

    def setup(self, stage: str | None = None) -> None:
        """Find and check the images; raises UserError for everything that is wrong with them."""
        if self.table is None:
            self.table = without_broken(self.find(), self.checked_dir, self.on_error, self.max_pixels)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order."""
        assert self.table is not None, "call setup() first"
        return self.table.classes

    @property
    def class_weights(self) -> list[float] | None:
        """What an image of each class weighs in the training loss; None where all weigh the same."""
        assert self.table is not None, "call setup() first"
        return balanced_class_weights(self.table) if self.balance == "weights" else None

    def train_dataloader(self) -> DataLoader:
        """Batches in an order that the seed and the epoch decide, from where training stands."""
        dataset = self._dataset("train", None if self.augment.varies else 0)
        batches = EpochBatches(self.order(self.batch_size), partial(position_of, self._trainer))
        return self._batches(dataset, self._trainer.strategy.root_device.type, {"batch_sampler": batches})

    def val_dataloader(self) -> DataLoader:
        """Batches in the table's order."""
        return self._in_order("val")

    def test_dataloader(self) -> DataLoader:
        """Batches in the table's order."""
        return self._in_order("test")

    def loader(self, split: str, view: int, rows: Sequence[int], device: str) -> DataLoader:
        """Batches of some of a split's or fold's images, in one view of them, for a device of the type `device`."""
        return self._batches(Subset(self._dataset(split, view), rows), device, {"batch_size": self.batch_size})

    def _in_order(self, split: str) -> DataLoader:
        """This device's share of a split."""
        trainer, count = self._trainer, len(getattr(self.table, split))
        rows = range(trainer.global_rank, count, trainer.world_size)
        return self.loader(split, 0, rows, trainer.strategy.root_device.type)

    def files_of_batch(self, epoch: int, batch_idx: int, batch_size: int | None = None) -> list[str]:
        """The images of a training batch of this device, `data.batch_size` of them unless told."""
        rows = self.order(batch_size or self.batch_size).batches(epoch)[batch_idx]
        assert self.table is not None, "call setup() first"
        return [self.table.train[row].path for row in rows]

    def order(self, batch_size: int, count: int | None = None) -> Order:
        """The order of this device's training images; `count` of them, where the table doesn't know."""
        assert self.table is not None, "call setup() first"
        trainer, count = self._trainer, len(self.table.train) if count is None else count
        weights = balanced_sample_weights(self.table) if self.balance == "sampler" else None
        return Order(count, batch_size, self.seed, trainer.global_rank, trainer.world_size, weights)

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None, "it is a Trainer that asks for data"
        return self.trainer

    def _dataset(self, split: str, view: int | None) -> ImageDataset:
        assert self.preprocessing is not None, "set data.preprocessing to the backbone's first"
        assert self.table is not None, "call setup() first"
        samples = self.table.part(split)
        if not samples:
            raise UserError(f"there are no {split} images (data.{split}_fraction, or the folder {split}/)")
        return ImageDataset(samples, self.preprocessing, view, self.seed, self.augment if view is None else LIGHT)

    def _batches(self, dataset: Dataset[Any], device: str, batching: dict[str, Any]) -> DataLoader:
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
