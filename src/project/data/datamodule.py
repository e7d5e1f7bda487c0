"""The LightningDataModule: a table of images in, batches of uint8 images and labels out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Subset

from headstart.backbone import Preprocessing
from headstart.errors import UserError
from headstart.features.cache import FeatureData
from headstart.images.augmentation import LIGHT, Augment
from headstart.images.loading import ImageDataset, Loading
from headstart.images.order import EpochBatches, Order, position_of
from headstart.images.splits import Splitting
from headstart.images.table import ImageTable, balanced_class_weights, balanced_sample_weights

BALANCE = ("none", "sampler", "weights")


class ImageData(LightningDataModule):
    """Images in batches of (uint8 [batch, 3, crop, crop], labels int64 [batch]).

    `find` returns the table of images, split as it is told where the images don't say; `setup` calls it, once. The
    options are those of `Splitting` (with its own `seed`) and `Loading`. `balance="sampler"` draws training images so
    that all classes are equally likely, `weights` makes `class_weights`.

    Before the first batch, set `preprocessing` to the backbone's, the `seed` of the order of training, and `augment`.
    """

    feature_cache = FeatureData  # what stands between the images and the head
    commands = ()  # that reading the images would run in a shell: none

    def __init__(
        self,
        find: Callable[[Splitting], ImageTable],
        *,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        group: str | None = None,
        balance: str = "none",
        **loading: Any,
    ) -> None:
        super().__init__()
        if balance not in BALANCE:
            raise UserError(f"data.balance={balance}: choose {' or '.join(BALANCE)}")
        self.find, self.loading = find, Loading(**loading)
        self.splitting = Splitting(val_fraction, test_fraction, seed, folds, fold, group)
        self.batch_size, self.balance = self.loading.batch_size, balance
        self.seed, self.augment = 0, Augment()
        self.preprocessing: Preprocessing | None = None
        self.table: ImageTable | None = None

    def setup(self, stage: str | None = None) -> None:
        """Find and check the images; raises UserError for everything that is wrong with them."""
        if self.table is None:
            self.table = self.loading.checked(self.find(self.splitting))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order."""
        return self._found.classes

    @property
    def class_weights(self) -> list[float] | None:
        """The weight of each class in the training loss; None where all weigh the same."""
        return balanced_class_weights(self._found) if self.balance == "weights" else None

    def train_dataloader(self) -> DataLoader:
        """Batches in an order that the seed and the epoch decide, from where training stands."""
        dataset = self._dataset("train", None if self.augment.varies else 0)
        self.loading.shrink_large(dataset, self._found.checked)
        batches = EpochBatches(self.order(self.batch_size), partial(position_of, self._trainer))
        return self.loading.loader(dataset, self._trainer.strategy.root_device.type, batch_sampler=batches)

    def val_dataloader(self) -> DataLoader:
        """Batches of this device's validation images, in the table's order."""
        return self._in_order("val")

    def test_dataloader(self) -> DataLoader:
        """Batches of this device's test images, in the table's order."""
        return self._in_order("test")

    def loader(self, split: str, view: int, rows: Sequence[int], device: str) -> DataLoader:
        """Batches of some of a split's or fold's images, in one view of them, for a device of the type `device`."""
        return self.loading.loader(Subset(self._dataset(split, view), rows), device, batch_size=self.batch_size)

    def order(self, batch_size: int, count: int | None = None) -> Order:
        """The order of this device's training images; `count` of them, where the table doesn't know."""
        trainer, count = self._trainer, len(self._found.train) if count is None else count
        weights = balanced_sample_weights(self._found) if self.balance == "sampler" else None
        return Order(count, batch_size, self.seed, trainer.global_rank, trainer.world_size, weights)

    def files_of_batch(self, epoch: int, batch_idx: int, batch_size: int | None = None) -> list[str]:
        """This device's images of a training batch, which has `data.batch_size` on all devices unless told."""
        rows = self.order(batch_size or self.batch_size).batches(epoch)[batch_idx]
        return [self._found.train[row].path for row in rows]

    def _in_order(self, split: str) -> DataLoader:
        trainer = self._trainer
        rows = range(trainer.global_rank, len(self._found.part(split)), trainer.world_size)
        return self.loader(split, 0, rows, trainer.strategy.root_device.type)

    def _dataset(self, split: str, view: int | None) -> ImageDataset:
        assert self.preprocessing is not None, "set data.preprocessing to the backbone's first"
        samples = self._found.part(split)
        if not samples:
            raise UserError(f"there are no {split} images (data.{split}_fraction, or the folder {split}/)")
        return ImageDataset(samples, self.preprocessing, view, self.seed, self.augment if view is None else LIGHT)

    @property
    def _found(self) -> ImageTable:
        assert self.table is not None, "call setup() first"
        return self.table

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None, "it is a Trainer that asks for data"
        return self.trainer
