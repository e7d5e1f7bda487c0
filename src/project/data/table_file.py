"""Images that a CSV, TSV or Parquet file names, a path and a label in every row; or that other rows name."""

import csv
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any

from headstart.errors import UserError, did_you_mean
from headstart.images.table import SPLIT_NAMES, Row, image_table

from .datamodule import ImageData

SPLIT = "split"  # the one column that need not be there
TABS, PARQUET = (".tsv", ".tab"), (".parquet", ".pq")
ENDINGS = (".csv", *TABS, *PARQUET)

Columns = Mapping[str, str | None]  # the names of the columns, by the config's keys for them
Record = Mapping[str, str]  # the values of a row, by column


def from_rows(read: Callable[..., list[Row]], where: str, **options: Any) -> ImageData:
    """Images whose rows `read` returns; it gets those `options` that it takes, and ImageData the others.

    Messages call the source `where`.
    """
    known = {name: options.pop(name) for name in signature(read).parameters if name in options}
    return ImageData(lambda splitting: image_table(read(**known), splitting, where), **options)


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
        UserError: a file that can't be read, a column that isn't there, an empty path or label, an unknown split, an
            image that is named twice in different ways, or images that don't exist.
    """
    path = Path(path).expanduser()
    columns = {"path_column": path_column, "label_column": label_column}
    columns |= {"split_column": split_column, "group_column": group_column}
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"{path} must be CSV, TSV or Parquet: its name has to end in {', '.join(ENDINGS)}")
    if not path.is_file():
        raise UserError(f"there is no file {path} (data.path)")
    found: dict[str, tuple[int, Row]] = {}
    for number, record in (_read_parquet if ending in PARQUET else _read_text)(path, columns):
        row = _row(path, number, record, columns)
        first, other = found.setdefault(row.path, (number, row))
        if other != row:
            raise UserError(f"rows {first} and {number} of {path} differ about {record[path_column]}: keep one of them")
    missing = [(number, file) for file, (number, _) in found.items() if not os.path.exists(file)]  # noqa: PTH110 (a third of the time)
    if missing:
        (number, file), more = missing[0], len(missing) - 1
        others = f", and {more:,} more of {len(found):,} files are missing" if more else ""
        raise UserError(f"there is no file {file} (row {number} of {path}){others}: paths start from {path.parent}")
    return [row for _, row in found.values()]


def _row(path: Path, number: int, record: Record, columns: Columns) -> Row:
    name, label, split, group = (record.get(column or "", "") for column in columns.values())
    for value, column in ((name, columns["path_column"]), (label, columns["label_column"])):
        if not value:
            raise UserError(f"row {number} of {path} has no {column}: fill it in, or remove the row")
    if split and split.lower() not in SPLIT_NAMES:
        raise UserError(f"row {number} of {path}: {split!r} is no split; there are {', '.join(SPLIT_NAMES)}")
    file = os.path.normpath(os.path.join(path.parent, name))  # noqa: PTH118 (pathlib takes five times as long)
    return Row(file, label, SPLIT_NAMES[split.lower()] if split else None, group or None)


def _read_text(path: Path, columns: Columns) -> Iterator[tuple[int, Record]]:
    """Every row's number, as a spreadsheet shows it, and its values as text; an empty one is ""."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel's CSV begins with a byte order mark
            header = file.readline()
            file.seek(0)
            semicolons = ";" in header and "," not in header  # of spreadsheets in countries that write 1,5
            delimiter = "\t" if path.suffix.lower() in TABS else ";" if semicolons else ","
            reader = csv.reader(file, delimiter=delimiter)
            names = [name.strip() for name in next(reader, [])]
            _check_columns(path, names, columns)
            for number, fields in enumerate(reader, start=2):
                if len(fields) == len(names):
                    yield number, dict(zip(names, map(str.strip, fields), strict=True))
                elif fields:
                    raise UserError(
                        f"row {number} of {path} has {len(fields)} fields, and there are {len(names)} columns: "
                        "a field with a comma in it needs quotes around it"
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} can't be read as text in UTF-8 ({error})") from error


def _read_parquet(path: Path, columns: Columns) -> Iterator[tuple[int, Record]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise UserError(f"{path} needs pyarrow: pip install -e .[parquet]") from error
    try:
        with ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_columns(path, names, columns)
            wanted = [name for name in names if name in columns.values()]
            batches = (batch.to_pylist() for batch in file.iter_batches(columns=wanted))
            for number, record in enumerate(chain.from_iterable(batches), start=2):  # as if below a header
                yield number, {name: _text(value) for name, value in record.items()}
    except (OSError, ArrowException) as error:
        raise UserError(f"{path} can't be read as Parquet ({error})") from error


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers beside an empty field have become floats on their way through pandas
    return str(value).strip()


def _check_columns(path: Path, names: Sequence[str], columns: Columns) -> None:
    for key, column in columns.items():
        if column is not None and column not in names and (key, column) != ("split_column", SPLIT):
            hint, there = did_you_mean(column, names), ", ".join(names) or "none"
            raise UserError(f"{path} has no column {column} (data.{key}); {hint}there are: {there}")
