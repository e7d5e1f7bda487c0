"""From a CSV, TSV or Parquet file with a path and a label in every row to a table of images."""

import os
from collections.abc import Sequence
from pathlib import Path

from headstart.errors import UserError, did_you_mean
from headstart.images.table import SPLIT_NAMES, Row

from .records import read_records

SPLIT = "split"  # the one column that need not be there


def read_labels(
    path: str | Path,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str | None = SPLIT,
    group_column: str | None = None,
) -> list[Row]:
    """Read a row for each image; paths start from the file's folder, unless they are absolute.

    The split is train, val, valid, validation or test, in any case, or empty: then it is as if there were none. A
    column `split` need not be there. An image that is named twice in the same way counts once.

    Raises:
        UserError: a file that can't be read, a column that isn't there, an empty path or label, an unknown split, a
            image that is named twice in different ways, or images that don't exist.
    """
    path = Path(path).expanduser()
    wanted = {
        "path_column": path_column,
        "label_column": label_column,
        "split_column": split_column,
        "group_column": group_column,
    }
    folder = str(path.parent)
    found: dict[str, tuple[int, Row]] = {}
    for number, (name, label, split, group) in read_records(path, lambda names: _places(path, names, wanted)):
        for value, column in ((name, path_column), (label, label_column)):
            if not value:
                raise UserError(f"row {number} of {path} has no {column}: fill it in, or remove the row")
        if split and split.lower() not in SPLIT_NAMES:
            raise UserError(f"row {number} of {path}: {split!r} is no split; there are {', '.join(SPLIT_NAMES)}")
        file = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 (pathlib takes five times as long)
        row = Row(file, label, SPLIT_NAMES[split.lower()] if split else None, group or None)
        first, other = found.setdefault(file, (number, row))
        if other != row:
            raise UserError(f"rows {first} and {number} of {path} say different things of {name}: keep one of them")
    _refuse_missing(path, found)
    return [row for _, row in found.values()]


def _places(path: Path, names: Sequence[str], wanted: dict[str, str | None]) -> list[int | None]:
    """Where the wanted columns are among those that there are."""
    for key, column in wanted.items():
        if column not in names and column is not None and (key, column) != ("split_column", SPLIT):
            there = ", ".join(names) or "none"
            hint = did_you_mean(column, names)
            raise UserError(f"{path} has no column {column} (data.{key}); {hint}there are: {there}")
    return [names.index(column) if column in names else None for column in wanted.values()]


def _refuse_missing(path: Path, found: dict[str, tuple[int, Row]]) -> None:
    missing = [(number, file) for file, (number, _) in found.items() if not os.path.exists(file)]  # noqa: PTH110 (a third of the time)
    if missing:
        (number, file), more = missing[0], len(missing) - 1
        others = f", and {more:,} more of {len(found):,} files are missing" if more else ""
        raise UserError(f"there is no file {file} (row {number} of {path}){others}: paths start from {path.parent}")
