"""The table of images that every source fills: rows in; samples by split, and the class names, out."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UserError, listed
from .looks import CheckedImages
from .splits import MOST, ByClass, Groups, Splitting, cut_splits, deal_folds, match_groups

SPLITS = ("train", "val", "test")
FOLD = "fold"
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# And what else people call them; as `datasets` reads them, too: eval is a test where dev is a validation.
SPLIT_NAMES |= {"training": "train", "dev": "val", "development": "val"}
SPLIT_NAMES |= {"testing": "test", "eval": "test", "evaluation": "test", "holdout": "test"}

log = logging.getLogger(__name__)


class Row(NamedTuple):
    """One image as its source knows it: path, class name, split ("train", "val" or "test") and group.

    Images without a split are training images, from which the splits that no row names are cut. Images of one
    group (a patient, a video, a place) are never put into different splits.
    """

    path: str
    label: str
    split: str | None = None
    group: str | None = None


class Sample(NamedTuple):
    """One image's path and the index of its class."""

    path: str
    label: int


@dataclass(frozen=True)
class ImageTable:
    """The samples of every split, class names in label order, and how many files were no images, by kind, or broken.

    With `folds`, the one with the number `fold` is `val`, and the others, one after the other, are `train`. `fixes`
    counts what `apply_fixes` has relabelled and dropped, `left_out` are the broken ones by split, and `checked` is what
    was found out about all.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    skipped: int = 0
    folds: tuple[tuple[Sample, ...], ...] = ()
    fold: int | None = None
    fixes: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    checked: CheckedImages | None = None
    manifests: dict[tuple[str, str], str] = field(default_factory=dict, compare=False, repr=False)  # as features want

    def parts(self, split: str) -> tuple[str, ...]:
        """The folds that make up a split, in order, which other runs put together otherwise; else the split itself."""
        if split not in ("train", "val") or not self.folds:
            return (split,)
        return tuple(f"{FOLD}{i}" for i in range(len(self.folds)) if (i == self.fold) == (split == "val"))

    def has(self, split: str) -> bool:
        """Whether there are images in a split."""
        return bool(self.part(split))

    def part(self, name: str) -> tuple[Sample, ...]:
        """The samples of a split or a fold."""
        return self.folds[int(name.removeprefix(FOLD))] if name.startswith(FOLD) else getattr(self, name)

    def members(self, split: str) -> list[tuple[str, str]]:
        """Path and label of every file of a split."""
        return [(sample.path, str(sample.label)) for sample in self.part(split)]

    def without(self, paths: Set[str]) -> list[tuple[Sample, ...]]:
        """The samples of train, val, test and every fold, in this order, that don't lie at one of `paths`."""
        splits = (self.train, self.val, self.test, *self.folds)
        return [tuple(sample for sample in split if sample.path not in paths) for split in splits]

    def __str__(self) -> str:
        """One line for the terminal: how many images, in how many classes and splits."""
        counts = {"train": len(self.train), "val": len(self.val), "test": len(self.test)}
        splits = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        ignored = (
            f"; {sum(self.ignored.values()):,} other files ignored ({kinds(self.ignored)})" if self.ignored else ""
        )
        skipped = f"; {self.skipped:,} broken ones skipped" if self.skipped else ""
        fixed = f"; data.fixes: {listed([f'{n:,} {what}' for what, n in self.fixes.items()])}" if self.fixes else ""
        return f"{sum(counts.values()):,} images in {len(self.classes)} classes ({splits}){ignored}{skipped}{fixed}"


def image_table(
    rows: Sequence[Row],
    splitting: Splitting,
    where: str,
    ignored: Mapping[str, int] | None = None,
    classes: Sequence[str] | None = None,
) -> ImageTable:
    """Turn the rows of the source `where` into samples by split, cutting those splits that no row names.

    What is cut comes from the training images only: seeded, and stratified by class. Labels number `classes`, by
    default those of the training images, sorted. Samples are in label order, those of a class in the order of their
    paths: the same images are the same set, wherever their rows come from.

    Raises:
        UserError: no image, only one class, a class that has too few images, a class that only the validation or
            test images know, or a split that is none of the three.
    """
    if not rows:
        raise UserError(f"no images in {where}")
    by_split = _by_split(sorted(rows, key=attrgetter("path")), where)
    names = tuple(classes or sorted_classes(by_split["train"]))
    _check_classes(by_split, names, where)
    groups = _groups(rows, splitting.group)
    fractions = {"val": splitting.val_fraction, "test": splitting.test_fraction}
    missing = {split: fraction for split, fraction in fractions.items() if split not in by_split}
    by_split |= cut_splits({name: by_split["train"][name] for name in names}, missing, splitting.seed, groups)
    if splitting.folds:
        train, val = by_split["train"], by_split["val"]
        by_split |= {"train": {name: train.get(name, []) + val.get(name, []) for name in names}, "val": {}}
    table = ImageTable(names, *(_samples(by_split[split], names) for split in SPLITS), ignored=ignored or {})
    _warn_of_divided_groups(table, groups, where)
    if not splitting.folds or not table.train:
        return table
    dealt = deal_folds(by_split["train"], splitting.folds, splitting.seed, groups)
    folds = tuple(_samples(part, names) for part in dealt)
    others = chain.from_iterable(samples for i, samples in enumerate(folds) if i != splitting.fold)
    return replace(table, train=tuple(others), val=folds[splitting.fold or 0], folds=folds, fold=splitting.fold)


def kinds(ignored: Mapping[str, int]) -> str:
    """How many files of which kind, the most first: `3 .txt; 1 .md`."""
    return listed([f"{count:,} {kind}" for kind, count in Counter(ignored).most_common()])


def sorted_classes(names: Iterable[str]) -> list[str]:
    """Class names in label order: by value where all are numbers, else alphabetically."""
    names = sorted(names)
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else names


def balanced_class_weights(table: ImageTable) -> list[float]:
    """Inverse-frequency weights per class: every class weighs the same in total, and an image 1 on average.

    These are scikit-learn's "balanced" class weights, after King and Zeng 2001, "Logistic Regression in Rare Events
    Data". A class without training images weighs nothing.
    """
    counts = Counter(sample.label for sample in table.train)
    mean = len(table.train) / max(len(counts), 1)
    return [mean / counts[label] if counts[label] else 0.0 for label in range(len(table.classes))]


def balanced_sample_weights(table: ImageTable) -> Tensor:
    """Weights per training image [images], float64: drawn in proportion to them, all classes are equally likely."""
    weights = balanced_class_weights(table)
    return torch.tensor([weights[sample.label] for sample in table.train], dtype=torch.float64)


def _groups(rows: Sequence[Row], pattern: str | None) -> Groups:
    """The group of each path: its row's own, or else what `pattern` finds in the path."""
    groups = {row.path: row.group for row in rows if row.group}
    return groups | match_groups([row.path for row in rows if not row.group], pattern) if pattern else groups


def _by_split(rows: Sequence[Row], where: str) -> dict[str, ByClass]:
    """The paths by split and class; `train` is there even if no image is."""
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, label, split, _ in rows:
        found[split or "train"][label].append(path)
    unknown = sorted(found.keys() - set(SPLITS))
    if unknown:
        raise UserError(f"{where} has a split {', '.join(map(repr, unknown))}: there are {', '.join(SPLITS)}")
    return {"train": {}} | {split: dict(by_class) for split, by_class in found.items()}


def _check_classes(by_split: dict[str, ByClass], names: tuple[str, ...], where: str) -> None:
    trained = by_split["train"].keys()
    if unknown := sorted(trained - set(names)):
        raise UserError(f"{where} has a class {listed(unknown, MOST)}, and its classes are {', '.join(names)}")
    untrained = {name: "" for name in names if name not in trained}
    for split in SPLITS[1:]:
        untrained |= {name: f" (but in {split})" for name in by_split.get(split, {}) if name not in trained}
    if untrained:
        lost = listed([f"{name!r}{split}" for name, split in sorted(untrained.items())], MOST)
        raise UserError(f"no training image in {where} of class {lost}: add some, or leave the class out")
    if len(names) < 2:
        raise UserError(f"only one class in {where} ({''.join(names)!r}): a classifier needs two or more")


def _samples(by_class: ByClass, names: tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple(Sample(path, label) for label, name in enumerate(names) for path in by_class.get(name, ()))


def _warn_of_divided_groups(table: ImageTable, groups: Groups, where: str) -> None:
    samples = ((sample.path, split) for split in SPLITS for sample in table.part(split))
    pairs = {(groups[path], split) for path, split in samples if path in groups}
    divided = sorted(group for group, count in Counter(group for group, _ in pairs).items() if count > 1)
    if divided:
        log.warning(
            f"{len(divided):,} groups of {where} are in more than one of its splits, {listed(divided, MOST)}: "
            "what is measured is too good"
        )
