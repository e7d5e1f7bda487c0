"""The feature cache for shards: after one pass over them, they are trained on as any other features are."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

from torch import Tensor

from project.model.classifier import Classifier

from ...features.cache import FeatureData
from ...features.file import read_features
from ...features.metadata import read_metadata
from .compute import ShardPass
from .data import ShardData


class ShardFeatures(FeatureData):
    """Batches of features and labels for all samples of `images`, as FeatureData has them."""

    images: ShardData

    def __init__(self, images: ShardData, model: Classifier, folder: str | Path, **options: Any) -> None:
        super().__init__(images, model, folder, **options)

    def files_of_batch(self, epoch: int, batch_idx: int) -> list[str]:
        """The shards of a training batch's images; the images themselves where they are streamed."""
        shards = self.images.split("train").shards
        if self.live:
            return self.images.files_of_batch(epoch, batch_idx)
        if self.model.full_batch:
            return list(shards)
        ends = list(accumulate(read_metadata(self.files["train", 0])["rows"]))
        rows = self.images.order(self.batch_size, ends[-1]).batches(epoch)[batch_idx]
        return sorted({shards[bisect_right(ends, row)] for row in rows.tolist()})

    def _parts(self, split: str) -> list[str]:
        return [split] if split in self.images.splits else []

    def _pass(self) -> ShardPass:
        return ShardPass(self.images, self.model, self._trainer, self.folder, self.verify)

    def _labels(self, split: str) -> Tensor:
        return read_features(self.files[split, 0], "labels").long().to(self._trainer.strategy.root_device)
