"""The LightningDataModule between images and head: features that are computed once, or the images themselves."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor

from ..backbone import Backbone
from ..errors import UserError
from ..images.order import Order, Position, position_of
from ..images.source import ImageSource
from .compute import FeaturePass
from .engines import AUTO, check_engine
from .file import read_features

STAGES = {"validate": ("val",), "test": ("test",)}  # and the splits that they need; any other stage needs all
MEASURED_AT_ONCE = 8192  # validation and test images in a batch


Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class FullBatch:
    """Every view's features and the labels as they are: one batch for each view."""

    views: Sequence[Tensor]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.views)

    def __iter__(self) -> Iterator[Batch]:
        for features in self.views:
            yield features, self.labels


@dataclass(frozen=True)
class InOrder:
    """One device's share of the features, in batches, in the table's order."""

    features: Tensor
    labels: Tensor
    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        return -(-len(range(self.rank, len(self.labels), self.world_size)) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        own = slice(self.rank, None, self.world_size)
        yield from zip(self.features[own].split(self.batch_size), self.labels[own].split(self.batch_size), strict=True)


@dataclass(frozen=True)
class Shuffled:
    """One device's share of the features, in batches, in `order`; epochs take turns with the views."""

    views: Sequence[Tensor]
    labels: Tensor
    order: Order
    position: Position

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        epoch, done = self.position()
        features = self.views[epoch % len(self.views)]
        for rows in self.order.batches(epoch)[done:]:
            rows = rows.to(self.labels.device)
            yield features.index_select(0, rows), self.labels.index_select(0, rows)  # a third of the time of [rows]


class FeatureData(LightningDataModule):
    """Batches of (features float32 [batch, num_features], labels int64 [batch]) for all images of `images`.

    The features that `folder` doesn't hold yet are computed when a Trainer first asks for them, on its devices and in
    its precision. `full_batch` hands all training images out at once. `views` counts the features of each training
    image: those of the image as it is, and of `views - 1` random crops of it; epochs take turns with them. Where
    features can't be written, batches hold images. `engine` is what computes on a CPU: torch, openvino, or auto: in
    float32, the faster of those that are installed.

    Raises:
        UserError: `views` or `batch_size` is no number from 1 up, `verify` is unknown, or `engine` not installed.
    """

    feature_pass: type[FeaturePass] = FeaturePass

    def __init__(
        self,
        images: ImageSource,
        backbone: Backbone,
        folder: str | Path,
        full_batch: bool = False,
        views: int = 1,
        batch_size: int = 256,
        verify: str = "stat",
        engine: str = AUTO,
    ) -> None:
        super().__init__()
        check_engine(engine)
        for key, value in (("views", views), ("batch_size", batch_size)):
            if not isinstance(value, int) or value < 1:
                raise UserError(f"features.{key}={value} must be a whole number from 1 up")
        self.images, self.backbone, self.folder = images, backbone, Path(folder)
        self.full_batch, self.views, self.batch_size, self.verify = full_batch, views, batch_size, verify
        self.engine = engine
        self.files: dict[tuple[str, int], Path] = {}  # by split or fold, and view
        self.seconds = 0.0  # that finding or computing features took
        self.live = False  # after all, because features can't be written
        self.split = cache(self._split)

    def setup(self, stage: str | None = None) -> None:
        """Compute those features for `stage` that aren't there; a fit wants all."""
        self.images.setup()
        self.images.trainer = self.trainer
        wanted = [
            (part, view)
            for split in STAGES.get(str(stage), ("train", "val", "test"))
            for part in self._parts(split)
            for view in range(self.views if split == "train" else 1)
            if (part, view) not in self.files
        ]
        if wanted and not self.live:
            started = time.perf_counter()
            how = self._trainer, self.folder, self.verify, self.engine
            paths = self.feature_pass(self.images, self.backbone, *how).ensure(wanted)
            self.live = paths is None
            self.files |= paths or {}
            self.seconds += time.perf_counter() - started

    def train_dataloader(self) -> Any:
        """Every image once an epoch, in a new order; all at once for a model that wants them so."""
        if self.live:
            return self.images.train_dataloader()
        views, labels = self.split("train")
        if self.full_batch:
            return FullBatch(views, labels)
        order = self.images.order(self.batch_size, len(labels))
        return Shuffled(views, labels, order, partial(position_of, self._trainer))

    def val_dataloader(self) -> Any:
        """Batches in the table's order."""
        return self.images.val_dataloader() if self.live else self._in_order("val")

    def test_dataloader(self) -> Any:
        """Batches in the table's order."""
        return self.images.test_dataloader() if self.live else self._in_order("test")

    def files_of_batch(self, epoch: int, batch_idx: int) -> list[str]:
        """The files of a training batch of this device."""
        if self.full_batch and self.images.table is not None:
            return [sample.path for sample in self.images.table.train]
        return self.images.files_of_batch(epoch, batch_idx, None if self.live else self.batch_size)

    def _in_order(self, split: str) -> InOrder:
        if not self._parts(split):
            raise UserError(f"there are no {split} images (data.{split}_fraction, or the folder {split}/)")
        (features, *_), labels = self.split(split)
        return InOrder(features, labels, MEASURED_AT_ONCE, self._trainer.global_rank, self._trainer.world_size)

    def _split(self, split: str) -> tuple[Sequence[Tensor], Tensor]:
        """Every view's features, and the labels, all on one device.

        That is a GPU when they take less than half of its free memory; on a CPU the memory map is as good as a copy.
        """
        views = [self._features(split, view) for view in range(self.views if split == "train" else 1)]
        device, size = self._trainer.strategy.root_device, sum(view.nbytes for view in views)
        if device.type != "cuda" or size >= torch.cuda.mem_get_info(device)[0] // 2:
            device = torch.device("cpu")  # Lightning moves each batch
        return [view.to(device) for view in views], self._labels(split).to(device)

    def _features(self, split: str, view: int) -> Tensor:
        parts = [read_features(self.files[part, view]) for part in self._parts(split)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _parts(self, split: str) -> list[str]:
        """What a split's features are put together from: folds are computed once for all runs that deal them so."""
        table = self.images.table
        assert table is not None, "call setup() first"
        return [name for name in table.parts(split) if table.part(name)]

    def _labels(self, split: str) -> Tensor:
        return torch.tensor([sample.label for sample in getattr(self.images.table, split)])

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None, "it is a Trainer that asks for data"
        return self.trainer
