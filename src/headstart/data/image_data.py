"""The LightningDataModule: tables of pictures in, batches of uint8 pictures and labels out."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from headstart.backbones import Preprocessing
from headstart.data.check import check_pictures
from headstart.data.cores import usable_cores
from headstart.data.picture_dataset import PictureDataset
from headstart.data.sources import PictureSet

MAX_AUTO_WORKERS = 8


class ImageData(LightningDataModule):
    """Pictures in batches of (uint8 [batch, 3, crop, crop], labels int64 [batch]).

    `find` returns the table of pictures; it is called once, by `setup`. `preprocessing` is the backbone's
    and has to be set before the first loader is asked for. `num_workers="auto"` takes none on a CPU, where they
    would fight with the backbone for the cores: all of them decode a batch, then all compute. Beside another device
    it takes one for each core that this process may use, eight at most. `augment` gives every training picture a
    new random crop each time. `passed_dir` is where sets of files that were checked are remembered.
    """

    def __init__(
        self,
        find: Callable[[], PictureSet],
        batch_size: int = 64,
        num_workers: int | str = "auto",
        augment: bool = False,
        passed_dir: str | Path = "data/checked",
    ) -> None:
        super().__init__()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"data.batch_size={batch_size} must be a whole number from 1 up")
        if num_workers != "auto" and (not isinstance(num_workers, int) or num_workers < 0):
            raise ValueError(f"data.num_workers={num_workers} must be auto, or a whole number from 0 up")
        self.find = find
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.augment = augment
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

    def share(self, split: str, view: int, rows: Sequence[int], device: str) -> DataLoader:
        """Batches of some of a split's pictures, in one view of them, for a device of the type `device`."""
        return self._batches(Subset(self._dataset(split, view), rows), device)

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader:
        view = None if shuffle and self.augment else 0
        device = self.trainer.strategy.root_device.type if self.trainer else "cpu"
        return self._batches(self._dataset(split, view), device, shuffle)

    def _dataset(self, split: str, view: int | None) -> PictureDataset:
        assert self.preprocessing is not None, "set data.preprocessing to the backbone's first"
        samples = getattr(self.pictures, split)
        if not samples:
            raise ValueError(f"there are no {split} pictures (data.{split}_fraction, or the folder {split}/)")
        return PictureDataset(samples, self.preprocessing, view)

    def _batches(self, dataset: Dataset[tuple[Tensor, int]], device: str, shuffle: bool = False) -> DataLoader:
        workers = self.num_workers
        if isinstance(workers, str):
            workers = 0 if device == "cpu" else min(usable_cores(), MAX_AUTO_WORKERS)
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            shuffle=shuffle,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device == "cuda",
        )
