"""From a folder of class folders to one plain table: samples by split, and the class names."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from headstart.data.split import cut_splits

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

ByClass = dict[str, list[str]]


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


def find_pictures(root: str | Path, val_fraction: float = 0.1, test_fraction: float = 0.2, seed: int = 0) -> PictureSet:
    """Find the pictures of `root/[train|val|test/]class/**` and split them where the folders don't.

    Split folders (`train`, `val`/`valid`/`validation`, `test`) are used as they are. A split that has no
    folder is cut from the training pictures: seeded, and stratified by class.

    Raises:
        ValueError: there is no such folder, one below it can't be read, no picture, only one class, a class that has
            too few pictures, or a class that only the validation or test pictures know.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise ValueError(f"there is no folder {root} (data.root)")
    if not (0 <= val_fraction <= 1 and 0 <= test_fraction <= 1 and val_fraction + test_fraction <= 1):
        raise ValueError(f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} must be shares of 1")
    split_dirs = _split_dirs(root)
    found = {split: _by_class(folder) for split, folder in (split_dirs or {"train": root}).items()}
    by_split = {split: by_class for split, (by_class, _) in found.items()}
    ignored = sum(count for _, count in found.values())
    if not any(paths for by_class in by_split.values() for paths in by_class.values()):
        raise ValueError(
            f"no pictures in {root}: one folder per class is expected, with files ending in {' '.join(sorted(ENDINGS))}"
        )
    _check_classes(root, by_split)
    fractions = {"val": val_fraction, "test": test_fraction}
    missing = {split: fraction for split, fraction in fractions.items() if split not in by_split}
    by_split |= {split: {} for split in missing}
    for name, paths in by_split["train"].items():
        for split, taken in cut_splits(name, paths, missing, seed).items():
            by_split[split][name] = taken
    return _table(by_split, ignored)


def _split_dirs(root: Path) -> dict[str, Path]:
    """The split folders of `root` by split; none where its folders are classes (one may be called `train`)."""
    folders = _folders(root)
    dirs: dict[str, Path] = {}
    for path in folders:
        split = SPLIT_NAMES.get(path.name.lower())
        if split in dirs:
            raise ValueError(f"{dirs[split]} and {path} are both {split} pictures: keep one of them")
        if split:
            dirs[split] = path
    return dirs if "train" in dirs and (len(dirs) > 1 or len(folders) == 1) else {}


def _by_class(folder: Path) -> tuple[ByClass, int]:
    """The sorted picture paths of every class folder below `folder`, and the number of other files."""
    by_class: ByClass = {path.name: [] for path in _folders(folder)}
    ignored = 0
    for directory, names, files in os.walk(folder, onerror=_refuse, followlinks=True):
        names[:] = sorted(name for name in names if not _hidden(name))
        parts = Path(directory).relative_to(folder).parts
        for file in sorted(files):
            if parts and not _hidden(file) and os.path.splitext(file)[1].lower() in ENDINGS:  # noqa: PTH122 (ten times as fast)
                by_class[parts[0]].append(f"{directory}{os.sep}{file}")
            else:
                ignored += 1
    return by_class, ignored


def _folders(parent: Path) -> list[Path]:
    try:
        return [path for path in sorted(parent.iterdir()) if path.is_dir() and not _hidden(path.name)]
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    """Without this, `os.walk` would leave out a folder that it may not enter, and say nothing."""
    raise ValueError(
        f"{error.filename} can't be read ({error.strerror}): change its permissions, or move it"
    ) from error


def _hidden(name: str) -> bool:
    """Files that systems leave behind: `.DS_Store`, `._photo.jpg`, `.ipynb_checkpoints`, `__MACOSX`."""
    return name.startswith(".") or name == "__MACOSX"


def _check_classes(root: Path, by_split: dict[str, ByClass]) -> None:
    train = by_split["train"]
    for split in by_split.keys() - {"train"}:
        strangers = sorted(name for name, paths in by_split[split].items() if paths and name not in train)
        if strangers:
            raise ValueError(f"class {strangers[0]!r} exists in the {split} pictures of {root}, but not in train")
    empty = sorted(name for name, paths in train.items() if not paths)
    if empty:
        raise ValueError(f"class {empty[0]!r} has no training picture in {root}: add some, or remove its folder")
    if len(train) < 2:
        raise ValueError(
            f"only one class in {root} ({next(iter(train))!r}): a classifier needs two class folders or more"
        )


def _table(by_split: dict[str, ByClass], ignored: int) -> PictureSet:
    classes = tuple(sorted(by_split["train"]))
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    for split, by_class in by_split.items():
        for label, name in enumerate(classes):
            samples[split] += (Sample(path, label) for path in by_class.get(name, ()))
    return PictureSet(
        classes,
        train=tuple(samples["train"]),
        val=tuple(samples["val"]),
        test=tuple(samples["test"]),
        ignored=ignored,
    )
