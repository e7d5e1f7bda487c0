"""The LightningDataModule: tables of pictures in, batches of uint8 pictures and labels out."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from headstart.backbones import Preprocessing
from headstart.data.check import check_pictures
from headstart.data.decode import read_picture
from headstart.data.sources import PictureSet, Sample
from headstart.data.transforms import ResizeAndCrop

MAX_AUTO_WORKERS = 8


class PictureDataset(Dataset[tuple[Tensor, int]]):
    """Reads picture `i` as (uint8 [3, crop, crop], label)."""

    def __init__(self, samples: Sequence[Sample], transform: Callable[[Tensor], Tensor]) -> None:
        self.samples = samples
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.samples[index]
        return self.transform(read_picture(path)), label


class ImageData(LightningDataModule):
    """Pictures in batches of (uint8 [batch, 3, crop, crop], labels int64 [batch]).

    `find` returns the table of pictures; it is called once, by `setup`. `preprocessing` is the backbone's
    and has to be set before the first loader is asked for. `num_workers="auto"` takes one for each core
    that this process may use, eight at most. `passed_dir` is where sets of files that were checked are remembered.
    """

    def __init__(
        self,
        find: Callable[[], PictureSet],
        batch_size: int = 64,
        num_workers: int | str = "auto",
        passed_dir: str | Path = "data/checked",
    ) -> None:
        super().__init__()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"data.batch_size={batch_size} must be a whole number from 1 up")
        if num_workers != "auto" and (not isinstance(num_workers, int) or num_workers < 0):
            raise ValueError(f"data.num_workers={num_workers} must be auto, or a whole number from 0 up")
        self.find = find
        self.batch_size = batch_size
        self.num_workers = _usable_cores() if isinstance(num_workers, str) else num_workers
        self.passed_dir = passed_dir
        self.preprocessing: Preprocessing | None = None
        self.pictures: PictureSet | None = None

    def setup(self, stage: str | None = None) -> None:
        """Find and check the pictures; raises ValueError for everything that is wrong with them."""
        if self.pictures is None:
            pictures = self.find()
            samples = (*pictures.train, *pictures.val, *pictures.test)
            check_pictures((sample.path for sample in samples), self.passed_dir)
            self.pictures = pictures

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order."""
        assert self.pictures is not None, "call setup() first"
        return self.pictures.classes

    def train_dataloader(self) -> DataLoader:
        """Batches in a new order every epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Batches in the table's order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        """Batches in the table's order."""
        return self._loader("test")

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader:
        assert self.preprocessing is not None, "set data.preprocessing to the backbone's first"
        samples = getattr(self.pictures, split)
        if not samples:
            raise ValueError(f"there are no {split} pictures (data.{split}_fraction, or the folder {split}/)")
        return DataLoader(
            PictureDataset(samples, ResizeAndCrop(self.preprocessing)),
            batch_size=self.batch_size,
            shuffle=shuffle,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _usable_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_AUTO_WORKERS)
