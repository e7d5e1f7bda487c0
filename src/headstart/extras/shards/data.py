"""The LightningDataModule for shards: images as they stream by, with the same promises as for images in a table."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from project.data.datamodule import ImageData

from ...errors import UserError
from ...images.augmentation import LIGHT
from ...images.checks import listed
from ...images.order import position_of
from ...images.splits import Splitting
from .classes import class_names, label_numbers
from .stream import Loaded, ShardLoader, ShardStream
from .table import ShardSet, cut
from .tar import ShardSplit, expand_shards
from .unpack import Unpack

Shards = str | list[str]

log = logging.getLogger(__name__)


class ShardData(ImageData):
    """Images from tar files, wherever they are; arguments that aren't named here are ImageData's.

    `train`, `val` and `test` are paths, URLs or commands as webdataset knows them; without `val` or `test`, a share of
    the training samples takes their place, which the seed and each sample's name decide. `shuffle` counts the samples
    that the live road mixes at a time. Images are checked as they stream by. Of a live run on several devices,
    broken images are counted for the first device only.

    Raises:
        UserError: an argument can't be used; `splitting` has folds or groups, which need a table.
    """

    def __init__(
        self,
        train: Shards,
        val: Shards | None = None,
        test: Shards | None = None,
        classes: str | Path | list[str] | None = None,
        splitting: Splitting | None = None,
        shuffle: int = 1000,
        **loading: Any,
    ) -> None:
        super().__init__(self._find, **loading)
        self.splitting = splitting or Splitting()
        if self.splitting.folds is not None or self.splitting.group is not None:
            raise UserError("data.folds and data.group need a table of all images, which shards don't have")
        if self.balance != "none":
            raise UserError("data.balance needs a table of all images, which shards don't have")
        if not isinstance(shuffle, int) or shuffle < 1:
            raise UserError(f"data.shuffle={shuffle} must be a whole number from 1 up")
        self.given = {"train": train, "val": val, "test": test}
        self.given_classes, self.shuffle = classes, shuffle
        self.broken: set[str] = set()

    def setup(self, stage: str | None = None) -> None:
        """Find the shards and the class names; raises UserError for everything that is wrong with them."""
        if self.table is None:
            self.table = self._find()

    def _find(self) -> ShardSet:
        shards = {split: expand_shards(given) for split, given in self.given.items()}
        if not shards["train"]:
            raise UserError("there are no training shards: data.train='PATH/train-{000..099}.tar'")
        classes = class_names(self.given_classes, shards["train"], self.checked_dir)
        return ShardSet(classes, (), (), (), splits=cut(shards, self.splitting))

    @property
    def splits(self) -> dict[str, ShardSplit]:
        """Which samples every split has."""
        assert isinstance(self.table, ShardSet), "call setup() first"
        return self.table.splits

    @property
    def numbers(self) -> dict[str, int]:
        """The class of every label's text."""
        return label_numbers(self.classes)

    def unpack(self, draw: list[int] | None = None) -> Unpack:
        """What makes images of samples; new random crops with `draw`."""
        assert self.preprocessing is not None, "set data.preprocessing to the backbone's first"
        return Unpack(self.preprocessing, self.max_pixels, self.on_error, self.augment if draw else LIGHT, draw)

    def split(self, name: str) -> ShardSplit:
        """A split's samples; raises UserError where there are none."""
        if name not in self.splits:
            raise UserError(f"there are no {name} images (data.{name}_fraction, or data.{name}=SHARDS)")
        return self.splits[name]

    def train_dataloader(self) -> Any:
        """Every sample once an epoch, in an order that the seed and the epoch decide, from where training stands."""
        trainer = self._trainer
        agree = trainer.strategy.reduce_boolean_decision if trainer.world_size > 1 else None
        place = partial(position_of, trainer)
        self.train_loader = ShardLoader(partial(self._stream, "train"), place, self.note_broken, agree, self.batch_size)
        return self.train_loader

    def val_dataloader(self) -> Any:
        """Every sample once."""
        return ShardLoader(partial(self._stream, "val"), lambda: (0, 0), self.note_broken)

    def test_dataloader(self) -> Any:
        """Every sample once."""
        return ShardLoader(partial(self._stream, "test"), lambda: (0, 0), self.note_broken)

    def leave_out(self, problems: set[str]) -> None:
        """Count images that are left out; raises UserError where none may be."""
        if problems and self.on_error == "raise":
            raise UserError(f"{listed(sorted(problems))}: replace what is broken, or leave it out: data.on_error=skip")
        if problems:
            log.warning(f"data.on_error=skip leaves {len(problems):,} broken images out")
        self.note_broken(sorted(problems))

    def note_broken(self, problems: list[str]) -> None:
        """Count what was left out, however often it comes by."""
        self.broken |= set(problems)
        assert self.table is not None, "call setup() first"
        self.table = replace(self.table, skipped=len(self.broken))

    def files_of_batch(self, epoch: int, batch_idx: int, batch_size: int | None = None) -> list[str]:
        """The images of one of the last training batches of this device."""
        return self.train_loader.names.get(batch_idx, [])

    def _stream(self, name: str, epoch: int) -> Iterable[Loaded]:
        trainer, training = self._trainer, name == "train"
        unpack = self.unpack([self.seed, epoch] if training and self.augment.varies else None)
        order = f"{self.seed} {epoch}" if training else None
        place = trainer.global_rank, trainer.world_size
        stream = ShardStream(self.split(name), unpack, self.numbers, self.batch_size, place, order, self.shuffle)
        return self._batches(stream, trainer.strategy.root_device.type, {"batch_size": None})
