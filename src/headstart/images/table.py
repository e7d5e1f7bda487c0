"""The one table that every source of images fills: rows in, samples by split and class names out."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from ..errors import UserError
from .class_order import in_order
from .groups import ByClass, Groups, count_torn, match_groups
from .splits import Splitting, cut_splits, deal_folds

SPLITS = ("train", "val", "test")
FOLD = "fold"
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

log = logging.getLogger(__name__)


class Row(NamedTuple):
    """An image as its source knows it: class name, split ("train", "val" or "test"), and what it is one of.

    Images without a split are training images, from which the splits that no row names are cut. Images of one
    group (a patient, a video, a place) are never put into different splits.
    """

    path: str
    label: str
    split: str | None = None
    group: str | None = None


class Sample(NamedTuple):
    """One image's file and the index of its class."""

    path: str
    label: int


@dataclass(frozen=True)
class ImageTable:
    """The samples of every split, the class names in label order, and how many files were no images, or broken.

    With `folds`, the one with the number `fold` is `val`, and the others, one after the other, are `train`.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    ignored: int = 0
    skipped: int = 0
    folds: tuple[tuple[Sample, ...], ...] = ()
    fold: int | None = None

    def parts(self, split: str) -> tuple[str, ...]:
        """The names of what a split is made of, in order: folds, which other runs use otherwise, or the split."""
        if split not in ("train", "val") or not self.folds:
            return (split,)
        return tuple(f"{FOLD}{i}" for i in range(len(self.folds)) if (i == self.fold) == (split == "val"))

    def part(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split or a fold."""
        return self.folds[int(name.removeprefix(FOLD))] if name.startswith(FOLD) else getattr(self, name)

    def __str__(self) -> str:
        """One line for the terminal: how many images, in how many classes and splits."""
        splits = {"train": len(self.train), "val": len(self.val), "test": len(self.test)}
        shares = ", ".join(f"{name} {count:,}" for name, count in splits.items())
        ignored = f"; {self.ignored:,} other files ignored" if self.ignored else ""
        skipped = f"; {self.skipped:,} broken ones skipped" if self.skipped else ""
        return f"{sum(splits.values()):,} images in {len(self.classes)} classes ({shares}){ignored}{skipped}"


def image_table(
    rows: Sequence[Row], splitting: Splitting, where: str, ignored: int = 0, classes: Sequence[str] | None = None
) -> ImageTable:
    """Turn the rows of the source `where` into samples by split, cutting those splits that no row names.

    What is cut comes from the training images only: seeded, and stratified by class. Labels number `classes`, by
    default the sorted names of the training images' classes; numbers are sorted as such. Samples are in label order,
    those of a class in the order of their paths: the same images are the same set, wherever their rows come from.

    Raises:
        UserError: no image, only one class, a class that has too few images, a class that only the validation or
            test images know, or a split that is none of the three.
    """
    if not rows:
        raise UserError(f"no images in {where}")
    by_split = _by_split(sorted(rows, key=attrgetter("path")), where)
    names = tuple(classes or in_order(by_split["train"]))
    _check_classes(by_split, names, where)
    fractions = {"val": splitting.val_fraction, "test": splitting.test_fraction}
    missing = {split: fraction for split, fraction in fractions.items() if split not in by_split}
    groups = _groups(rows, splitting.group)
    by_split |= cut_splits({name: by_split["train"][name] for name in names}, missing, splitting.seed, groups)
    if splitting.folds:
        pool = {name: by_split["train"].get(name, []) + by_split["val"].get(name, []) for name in names}
        by_split |= {"train": {name: paths for name, paths in pool.items() if paths}, "val": {}}
    if torn := count_torn(by_split, groups):
        log.warning(f"{torn:,} groups of {where} are torn apart by its splits: what is measured is too good")
    train, val, test = (_samples(by_split[split], names) for split in SPLITS)
    if not splitting.folds or not train:
        return ImageTable(names, train, val, test, ignored)
    dealt = deal_folds(by_split["train"], splitting.folds, splitting.seed, groups)
    folds = tuple(_samples(part, names) for part in dealt)
    train = tuple(chain(*(part for i, part in enumerate(folds) if i != splitting.fold)))
    return ImageTable(names, train, folds[splitting.fold or 0], test, ignored, folds=folds, fold=splitting.fold)


def _groups(rows: Sequence[Row], pattern: str | None) -> Groups:
    """The groups that rows have by themselves; those of the others are looked for in their paths."""
    groups = {row.path: row.group for row in rows if row.group}
    if pattern:
        groups |= match_groups([row.path for row in rows if not row.group], pattern)
    return groups


def _by_split(rows: Sequence[Row], where: str) -> dict[str, ByClass]:
    """The paths by split and class, with a place for training images in any case."""
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, label, split, _ in rows:
        found[split or "train"][label].append(path)
    strange = sorted(found.keys() - set(SPLITS))
    if strange:
        raise UserError(f"{where} speaks of a split {strange[0]!r}: there are {', '.join(SPLITS)}")
    return {"train": {}} | {split: dict(by_class) for split, by_class in found.items()}


def _check_classes(by_split: dict[str, ByClass], names: tuple[str, ...], where: str) -> None:
    for split in SPLITS:
        strangers = sorted(by_split.get(split, {}).keys() - set(names))
        if strangers and split != "train":
            raise UserError(f"class {strangers[0]!r} exists in the {split} images of {where}, but not in train")
        if strangers:
            raise UserError(f"class {strangers[0]!r} of {where} is none of its classes: {', '.join(names)}")
    empty = sorted(set(names) - by_split["train"].keys())
    if empty:
        raise UserError(f"class {empty[0]!r} has no training image in {where}: add some, or leave the class out")
    if len(names) < 2:
        raise UserError(f"only one class in {where} ({''.join(names)!r}): a classifier needs two or more")


def _samples(by_class: ByClass, names: tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple(Sample(path, label) for label, name in enumerate(names) for path in by_class.get(name, ()))
