"""The LightningDataModule for shards: images as they stream by, with the same promises as for images in a table."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, Trainer

from ...backbone import Preprocessing
from ...errors import UserError, listed
from ...images.augmentation import Augment
from ...images.loading import Loading
from ...images.order import Order, per_device, position_of
from ...images.splits import Splitting
from ...images.table import SPLITS, ImageTable
from ...images.transforms import RandomView
from .features import ShardFeatures
from .stream import LoadedBatch, ShardLoader, ShardStream
from .tar import ShardSplit, class_names, expand_shards, has_command, label_numbers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardTable(ImageTable):
    """The class names, and which samples of which shards a split is."""

    splits: dict[str, ShardSplit] = field(default_factory=dict)

    def has(self, split: str) -> bool:
        """Whether there are samples in a split."""
        return split in self.splits

    def members(self, split: str) -> list[tuple[str, str]]:
        """Every shard of a split, and which of its samples belong to it."""
        share = self.splits.get(split)
        return [(shard, f"{share.low} {share.high} {share.seed}") for shard in share.shards] if share else []

    def __str__(self) -> str:
        """One line for the terminal."""
        parts = []
        for name, split in self.splits.items():
            fraction = split.high - split.low
            parts.append(f"{name} {'' if fraction == 1 else f'{fraction:.0%} of '}{len(split.shards):,}")
        count = len({shard for split in self.splits.values() for shard in split.shards})
        return f"{count:,} shards with {len(self.classes)} classes ({', '.join(parts)})"


class ShardData(LightningDataModule):
    """Images from tar files, wherever they are, in batches of (uint8 [batch, 3, crop, crop], labels int64 [batch]).

    `train`, `val` and `test` are paths, URLs or commands as webdataset knows them; without `val` or `test`, a fraction
    of the training samples takes their place, which the seed and each sample's name decide. `shuffle` counts the
    samples that are mixed at a time where no features are kept. Images are checked as they stream by. Of such a run on
    several devices, broken images are counted for the first device only. `loading` is what `Loading` takes.

    Raises:
        UserError: an argument can't be used: folds, groups and balancing need a table of all images.
    """

    feature_cache = ShardFeatures
    class_weights = None

    def __init__(
        self,
        train: str | list[str],
        val: str | list[str] | None = None,
        test: str | list[str] | None = None,
        classes: str | Path | list[str] | None = None,
        shuffle: int = 1000,
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        seed: int = 0,
        balance: str = "none",
        folds: int | None = None,
        fold: int | None = None,
        group: str | None = None,
        **loading: Any,
    ) -> None:
        super().__init__()
        for key, given in (("folds", folds), ("fold", fold), ("group", group), ("balance", balance)):
            if given not in (None, "none"):
                raise UserError(f"data.{key} needs a table of all images, which shards don't have")
        if not isinstance(shuffle, int) or shuffle < 1:
            raise UserError(f"data.shuffle={shuffle} must be a whole number from 1 up")
        self.splitting, self.loading = Splitting(val_fraction, test_fraction, seed), Loading(**loading)
        if self.loading.fixes:
            raise UserError("data.fixes names files, which shards don't have: relabel and drop images as you pack them")
        self.batch_size, self.shuffle = self.loading.batch_size, shuffle
        self.given = {"train": train, "val": val, "test": test}
        self.given_classes = classes
        self.seed, self.augment = 0, Augment()
        self.preprocessing: Preprocessing | None = None
        self.table: ShardTable | None = None
        self.broken: set[str] = set()

    @property
    def commands(self) -> list[str]:
        """What of the given shards runs a shell command when it is read."""
        given = [[text] if isinstance(text, str) else text or [] for text in self.given.values()]
        return [text for texts in given for text in texts if has_command(text)]

    def setup(self, stage: str | None = None) -> None:
        """Find the shards and the class names; raises UserError for everything that is wrong with them."""
        if self.table is None:
            shards = {split: expand_shards(given) for split, given in self.given.items()}
            if not shards["train"]:
                raise UserError("there are no training shards: data.train='PATH/train-{000..099}.tar'")
            classes = class_names(self.given_classes, shards["train"], self.loading.checked_dir)
            self.table = ShardTable(classes, (), (), (), splits=cut_splits(shards, self.splitting))

    @property
    def found(self) -> ShardTable:
        """What `setup` has found."""
        assert self.table is not None, "call setup() first"
        return self.table

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order."""
        return self.found.classes

    def split(self, name: str) -> ShardSplit:
        """A split's samples; raises UserError where there are none."""
        if name not in self.found.splits:
            raise UserError(f"there are no {name} images (data.{name}_fraction, or data.{name}=SHARDS)")
        return self.found.splits[name]

    def stream(self, split: ShardSplit, augment: Augment, draw: Sequence[int] = (), **order: Any) -> ShardStream:
        """Batches of some samples, in the look by `augment` that `draw` decides; `order` is what ShardStream takes."""
        assert self.preprocessing is not None, "set data.preprocessing to the backbone's first"
        look = RandomView(self.preprocessing, augment)
        return ShardStream(split, label_numbers(self.classes), self.loading, look, draw, **order)

    def train_dataloader(self) -> Any:
        """Every sample once an epoch, in an order that the seed and the epoch decide, from where training stands."""
        trainer, open_stream = self._trainer, partial(self._batches, "train")
        agree = trainer.strategy.reduce_boolean_decision if trainer.world_size > 1 else None
        position = partial(position_of, trainer)
        size = per_device(self.batch_size, trainer.world_size)
        self._train_loader = ShardLoader(open_stream, position, self.note_broken, agree, size)
        return self._train_loader

    def val_dataloader(self) -> Any:
        """Every sample once."""
        return ShardLoader(partial(self._batches, "val"), lambda: (0, 0), self.note_broken)

    def test_dataloader(self) -> Any:
        """Every sample once."""
        return ShardLoader(partial(self._batches, "test"), lambda: (0, 0), self.note_broken)

    def loader(self, split: str, view: int, rows: Sequence[int], device: str) -> Any:
        """Never asked for: shards have no rows, and a pass of their own."""
        raise NotImplementedError

    def order(self, batch_size: int, count: int | None = None) -> Order:
        """The order of this device's training images, `count` of them, once their features are known."""
        assert count is not None, "shards don't know how many images they hold"
        return Order(count, batch_size, self.seed, self._trainer.global_rank, self._trainer.world_size)

    def leave_out(self, problems: set[str]) -> None:
        """Count images that are left out; raises UserError where none may be."""
        if problems and self.loading.on_error == "raise":
            raise UserError(f"{listed(sorted(problems))}: replace what is broken, or leave it out: data.on_error=skip")
        if problems:
            log.warning(f"data.on_error=skip leaves {len(problems):,} broken images out")
        self.note_broken(sorted(problems))

    def note_broken(self, problems: list[str]) -> None:
        """Count what was left out, however often it comes by."""
        self.broken |= set(problems)
        self.table = replace(self.found, skipped=len(self.broken))

    def files_of_batch(self, epoch: int, batch_idx: int, batch_size: int | None = None) -> list[str]:
        """The images of one of the last training batches of this device."""
        return self._train_loader.names.get(batch_idx, [])

    def _batches(self, name: str, epoch: int) -> Iterable[LoadedBatch]:
        trainer, how = self._trainer, {}
        if training := name == "train":
            how = {"draw": (self.seed, epoch), "order": f"{self.seed} {epoch}", "buffer": self.shuffle}
        place = trainer.global_rank, trainer.world_size
        stream = self.stream(self.split(name), self.augment if training else Augment(), place=place, **how)
        if training:
            size = per_device(self.batch_size, trainer.world_size)
            stream = replace(stream, loading=replace(self.loading, batch_size=size))
        return self.loading.loader(stream, trainer.strategy.root_device.type, batch_size=None)

    @property
    def _trainer(self) -> Trainer:
        assert self.trainer is not None, "it is a Trainer that asks for data"
        return self.trainer


def cut_splits(shards: dict[str, tuple[str, ...]], splitting: Splitting) -> dict[str, ShardSplit]:
    """Every split's samples; those that have no shards take the training samples with the lowest positions."""
    fractions = {"test": splitting.test_fraction, "val": splitting.val_fraction}
    splits, low = {}, 0.0
    for split, fraction in fractions.items():
        if shards[split]:
            splits[split] = ShardSplit(shards[split])
        elif fraction:
            splits[split] = ShardSplit(shards["train"], low, low := min(1.0, low + fraction), splitting.seed)
    splits["train"] = ShardSplit(shards["train"], low, 1.0, splitting.seed)
    return {name: splits[name] for name in SPLITS if name in splits and splits[name].low < 1.0}
