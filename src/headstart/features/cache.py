"""The LightningDataModule between images and head: features that are computed once, or the images themselves."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor

from project.data.datamodule import ImageData
from project.model.classifier import Classifier

from ..errors import UserError
from ..images.order import position_of
from .batches import FullBatch, InOrder, Shuffled
from .compute import FeaturePass
from .file import read_features

SPLITS = ("train", "val", "test")
STAGES = {"validate": ("val",), "test": ("test",)}
MEASURED_AT_ONCE = 8192  # validation and test images in a batch


class FeatureData(LightningDataModule):
    """Batches of (features float32 [batch, num_features], labels int64 [batch]) for all images of `images`.

    The features that `folder` doesn't hold yet are computed when a Trainer first asks for them, on its devices and in
    its precision. `views` counts the features of each training image: those of the image as it is, and of
    `views - 1` random crops of it; epochs take turns with them. Where features can't be written, batches hold images.

    Raises:
        UserError: `views` or `batch_size` is no number from 1 up, or `verify` is unknown.
    """

    def __init__(
        self,
        images: ImageData,
        model: Classifier,
        folder: str | Path,
        views: int = 1,
        batch_size: int = 256,
        verify: str = "stat",
    ) -> None:
        super().__init__()
        if not isinstance(views, int) or views < 1:
            raise UserError(f"features.views={views} must be a whole number from 1 up")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise UserError(f"features.batch_size={batch_size} must be a whole number from 1 up")
        self.images, self.model, self.folder = images, model, Path(folder)
        self.views, self.batch_size, self.verify = views, batch_size, verify
        self.features: dict[tuple[str, int], Tensor] = {}
        self.files: dict[tuple[str, int], Path] = {}
        self.seconds = 0.0  # that finding or computing them took
        self.live = False  # after all, because features can't be written

    def setup(self, stage: str | None = None) -> None:
        """Compute those features for `stage` that aren't there, and map all of them into memory; a fit wants all."""
        self.images.setup()
        self.images.trainer = self.trainer
        splits = STAGES.get(str(stage), SPLITS)
        wanted = [
            (part, view)
            for split in splits
            for part in self._parts(split)
            for view in range(self.views if split == "train" else 1)
            if (part, view) not in self.features
        ]
        if wanted and not self.live:
            started = time.perf_counter()
            paths = self._pass().ensure(wanted)
            self.live = paths is None
            self.files |= paths or {}
            self.features |= {name: self._resident(read_features(path)) for name, path in (paths or {}).items()}
            self.seconds += time.perf_counter() - started

    def train_dataloader(self) -> Any:
        """Every image once an epoch, in a new order; all at once for a model that wants them so."""
        if self.live:
            return self.images.train_dataloader()
        views = [self._features("train", view) for view in range(self.views)]
        labels = self._labels("train")
        if self.model.full_batch:
            return FullBatch(views, labels)
        return Shuffled(
            views, labels, self.images.order(self.batch_size, len(labels)), partial(position_of, self._trainer)
        )

    def val_dataloader(self) -> Any:
        """Batches in the table's order."""
        return self.images.val_dataloader() if self.live else self._in_order("val")

    def test_dataloader(self) -> Any:
        """Batches in the table's order."""
        return self.images.test_dataloader() if self.live else self._in_order("test")

    def files_of_batch(self, epoch: int, batch_idx: int) -> list[str]:
        """The images of a training batch of this device."""
        if self.model.full_batch:
            assert self.images.table is not None, "call setup() first"
            return [sample.path for sample in self.images.table.train]
        return self.images.files_of_batch(epoch, batch_idx, None if self.live else self.batch_size)

    def _in_order(self, split: str) -> InOrder:
        if not self._parts(split):
            raise UserError(f"there are no {split} images (data.{split}_fraction, or the folder {split}/)")
        return InOrder(self._features(split, 0), self._labels(split), MEASURED_AT_ONCE, *self._position())

    def _parts(self, split: str) -> list[str]:
        """What a split's features are put together from: folds are computed once for all runs that deal them so."""
        table = self.images.table
        assert table is not None, "call setup() first"
        return [name for name in table.parts(split) if table.part(name)]

    def _features(self, split: str, view: int) -> Tensor:
        parts = [self.features[part, view] for part in self._parts(split)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _pass(self) -> FeaturePass:
        return FeaturePass(self.images, self.model, self._trainer, self.folder, self.verify)

    def _labels(self, split: str) -> Tensor:
        samples = getattr(self.images.table, split)
        return torch.tensor([sample.label for sample in samples], device=self._trainer.strategy.root_device)

    def _position(self) -> tuple[int, int]:
        return self._trainer.global_rank, self._trainer.world_size

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None, "it is a Trainer that asks for data"
        return self.trainer

    def _resident(self, features: Tensor) -> Tensor:
        """On the device when they take less than half of its free memory; on a CPU the map is as good as a copy."""
        device = self._trainer.strategy.root_device
        fits = device.type == "cuda" and features.nbytes < torch.cuda.mem_get_info(device)[0] // 2
        return features.to(device) if fits else features
