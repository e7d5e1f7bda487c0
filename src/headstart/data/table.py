"""The one table that every source of pictures fills: rows in, samples by split and class names out."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headstart.data.split import Splitting, cut_splits

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

ByClass = dict[str, list[str]]  # paths


class Row(NamedTuple):
    """A picture as its source knows it: class name, split ("train", "val" or "test"), and what it is one of.

    Pictures without a split are training pictures, from which the splits that no row names are cut. Pictures of one
    group (a patient, a video, a place) are never put into different splits.
    """

    path: str
    label: str
    split: str | None = None
    group: str | None = None


class Sample(NamedTuple):
    """One picture's file and the index of its class."""

    path: str
    label: int


@dataclass(frozen=True)
class PictureSet:
    """The samples of every split, the class names in label order, and how many files were no pictures, or broken."""

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    ignored: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        """One line for the terminal: how many pictures, in how many classes and splits."""
        splits = {"train": len(self.train), "val": len(self.val), "test": len(self.test)}
        shares = ", ".join(f"{name} {count:,}" for name, count in splits.items())
        ignored = f"; {self.ignored:,} other files ignored" if self.ignored else ""
        skipped = f"; {self.skipped:,} broken ones skipped" if self.skipped else ""
        return f"{sum(splits.values()):,} pictures in {len(self.classes)} classes ({shares}){ignored}{skipped}"


def picture_set(
    rows: Sequence[Row], splitting: Splitting, where: str, ignored: int = 0, classes: Sequence[str] | None = None
) -> PictureSet:
    """Turn the rows of the source `where` into samples by split, cutting those splits that no row names.

    What is cut comes from the training pictures only: seeded, and stratified by class. Labels number `classes`, by
    default the sorted names of the training pictures' classes. Samples are in label order; of each class, the training
    pictures are sorted by path, as are those of a split that was cut, and the others are in the order of their rows.

    Raises:
        ValueError: no picture, only one class, a class that has too few pictures, a class that only the validation or
            test pictures know, or a split that is none of the three.
    """
    if not rows:
        raise ValueError(f"no pictures in {where}")
    by_split = _by_split(rows, where)
    names = tuple(classes or sorted(by_split["train"]))
    _check_classes(by_split, names, where)
    fractions = {"val": splitting.val_fraction, "test": splitting.test_fraction}
    missing = {split: fraction for split, fraction in fractions.items() if split not in by_split}
    by_split |= {split: {} for split in missing}
    for name in names:
        for split, taken in cut_splits(name, by_split["train"][name], missing, splitting.seed).items():
            by_split[split][name] = taken
    train, val, test = (_samples(by_split[split], names) for split in SPLITS)
    return PictureSet(names, train, val, test, ignored)


def _by_split(rows: Sequence[Row], where: str) -> dict[str, ByClass]:
    """The paths by split and class, with a place for training pictures in any case."""
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, label, split, _ in rows:
        found[split or "train"][label].append(path)
    strange = sorted(found.keys() - set(SPLITS))
    if strange:
        raise ValueError(f"{where} speaks of a split {strange[0]!r}: there are {', '.join(SPLITS)}")
    return {"train": {}} | {split: dict(by_class) for split, by_class in found.items()}


def _check_classes(by_split: dict[str, ByClass], names: tuple[str, ...], where: str) -> None:
    for split in SPLITS:
        strangers = sorted(by_split.get(split, {}).keys() - set(names))
        if strangers and split != "train":
            raise ValueError(f"class {strangers[0]!r} exists in the {split} pictures of {where}, but not in train")
        if strangers:
            raise ValueError(f"class {strangers[0]!r} of {where} is none of its classes: {', '.join(names)}")
    empty = sorted(set(names) - by_split["train"].keys())
    if empty:
        raise ValueError(f"class {empty[0]!r} has no training picture in {where}: add some, or leave the class out")
    if len(names) < 2:
        raise ValueError(f"only one class in {where} ({''.join(names)!r}): a classifier needs two or more")


def _samples(by_class: ByClass, names: tuple[str, ...]) -> tuple[Sample, ...]:
    return tuple(Sample(path, label) for label, name in enumerate(names) for path in by_class.get(name, ()))
