"""What somebody has decided about images, in a table such as the doctor's, applied to the table of images.

Nothing on disk is touched. A row's `action` is `relabel` (the image is of the class that `suggested` names), `drop` (it
is left out), or `keep` or nothing, which changes nothing. Labels change in place: an image keeps its split and its
number, so that its features, which are those of the files in their order, are still the right ones.
"""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import UserError, did_you_mean, listed
from ..files import common_folder
from .splits import MOST
from .table import SPLITS, ImageTable, Sample

COLUMNS = ("path", "suggested", "action")  # that are looked at; there may be others
RELABEL, DROP = "relabel", "drop"
ACTIONS = (RELABEL, DROP, "keep", "")
KEY = "data.fixes"

Fixes = Mapping[str, int | None]  # by path the number of an image's class, or None to drop it


def apply_fixes(table: ImageTable, file: str | Path | None) -> ImageTable:
    """The table with what the CSV `file` says about its images, and how many it `relabelled` and `dropped`.

    Raises:
        UserError: there is no such file, it lacks a column, a row has an unknown action or class, names an image that
            isn't in the table or says two things about one, or a class loses all of its training images.
    """
    if file is None:
        return table
    fixes = read_fixes(Path(file).expanduser(), table)
    labels = {sample.path: sample.label for split in SPLITS for sample in table.part(split)}
    dropped = {path for path, label in fixes.items() if label is None}
    changed = {path: label for path, label in fixes.items() if label not in (None, labels[path])}
    splits = [
        tuple(Sample(path, changed.get(path, label)) for path, label in split) for split in table.without(dropped)
    ]
    lost = {sample.label for sample in table.train} - {sample.label for sample in splits[0]}
    if lost:
        names = listed([repr(table.classes[label]) for label in sorted(lost)], MOST)
        raise UserError(f"{file} leaves no training image of class {names} ({KEY}): keep one, or remove its folder")
    train, val, test, *folds = splits
    counts = {"relabelled": len(changed), "dropped": len(dropped)}
    return replace(table, train=train, val=val, test=test, folds=tuple(folds), fixes=counts)


def read_fixes(file: Path, table: ImageTable) -> Fixes:
    """What the rows of a CSV file say that is to be done; raises UserError as `apply_fixes` does."""
    found: dict[str, tuple[int, int | None]] = {}
    known: Callable[[str], str | None] | None = None
    for number, row in _rows(file):
        action = row["action"].lower()
        if action not in ACTIONS:
            raise UserError(
                f"row {number} of {file}: {action!r} is no action; write relabel, drop or keep, or leave it empty"
            )
        if action not in (RELABEL, DROP):
            continue
        known = known or _finder(table)
        if (path := known(row["path"])) is None:
            raise UserError(
                f"row {number} of {file}: {row['path']} isn't among the images of data=...: remove the row, or correct "
                "its path"
            )
        label = _label(file, number, row["suggested"], table.classes) if action == RELABEL else None
        first, other = found.setdefault(path, (number, label))
        if other != label:
            raise UserError(f"rows {first} and {number} of {file} differ about {row['path']}: decide on one of them")
    return {path: label for path, (_, label) in found.items()}


def _label(file: Path, number: int, name: str, classes: tuple[str, ...]) -> int:
    if name in classes:
        return classes.index(name)
    if not name:
        raise UserError(f"row {number} of {file} has the action relabel: name the right class in the column suggested")
    hint = did_you_mean(name, classes)
    raise UserError(f"row {number} of {file}: there is no class {name!r}; {hint}there are {listed(classes, MOST)}")


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Every row's number, as a spreadsheet shows it, and its values without spaces around them."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise UserError(f"{file} isn't text in UTF-8 ({KEY}): save it as such (in Excel: CSV UTF-8)") from error
    except OSError as error:
        raise UserError(f"{file} can't be read ({error.strerror}; {KEY})") from error
    header = lines[0] if lines else ""
    rows = csv.reader(lines, delimiter=max(",;\t", key=header.count), strict=True)  # offices have their own ideas
    number = 1
    try:
        names = [name.strip() for name in next(rows, [])]
        if missing := [column for column in COLUMNS if column not in names]:
            there = ", ".join(names) or "nothing"
            raise UserError(f"{file} has no column {listed(missing)} ({KEY}); its first row has {there}")
        for number, row in enumerate(rows, start=2):
            if len(row) not in (0, len(names)):
                raise UserError(
                    f"row {number} of {file} has {len(row)} fields, and there are {len(names)} columns: a field with a "
                    "comma in it needs quotes around it"
                )
            if row:
                yield number, {name: value.strip() for name, value in zip(names, row, strict=True)}
    except csv.Error as error:
        raise UserError(f"row {number + 1} of {file} can't be read as CSV ({error}): mend its quotes") from error


def _finder(table: ImageTable) -> Callable[[str], str | None]:
    """Finds the path in the table that a row means: the same, the same file, or, all having moved, the same below.

    That is the one with as many folders as possible in common at its end, below the folder that all images share; and
    every row has to have moved from the same place.
    """
    paths = [sample.path for split in SPLITS for sample in table.part(split)]
    same = {_absolute(path): path for path in paths} | {path: path for path in paths}
    top = common_folder([_absolute(path) for path in paths])
    below = {_absolute(path)[len(top) :].strip(os.sep): path for path in paths}
    moved_from: Counter[str] = Counter()

    def find(name: str) -> str | None:
        if found := same.get(name) or same.get(_absolute(name)):
            return found
        parts = Path(name).parts
        for start in range(len(parts)):
            if found := below.get(os.path.join(*parts[start:])):  # noqa: PTH118
                moved_from[os.path.join("", *parts[:start])] += 1  # noqa: PTH118
                return found if len(moved_from) == 1 else None
        return None

    return find


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 (pathlib takes five times as long)
