"""The records of a CSV, TSV or Parquet file, one after the other, of those columns that are asked for."""

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count, repeat
from pathlib import Path
from typing import Any, TextIO

from headstart.errors import UserError

TABS, PARQUET = (".tsv", ".tab"), (".parquet", ".pq")
ENDINGS = (".csv", *TABS, *PARQUET)

Choose = Callable[[Sequence[str]], list[int | None]]  # from the columns' names to the places of those that are wanted
Record = tuple[int, list[str]]  # the row's number as a spreadsheet shows it, and the wanted fields


def read_records(path: Path, choose: Choose) -> Iterator[Record]:
    """Read one record at a time; a field that is empty, or of a column that `choose` has no place for, is "".

    Raises:
        UserError: the file isn't there or can't be read, its ending is not one of `ENDINGS`, or a row has more or
            fewer fields than there are columns; and what `choose` raises.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"{path} must be CSV, TSV or Parquet: its name has to end in {', '.join(ENDINGS)}")
    if not path.is_file():
        raise UserError(f"there is no file {path} (data.path)")
    return _read_parquet(path, choose) if ending in PARQUET else _read_text(path, choose)


def _read_text(path: Path, choose: Choose) -> Iterator[Record]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel's CSV begins with a byte order mark
            reader = csv.reader(file, delimiter=_delimiter(file, path))
            names = [name.strip() for name in next(reader, [])]
            places = choose(names)
            for number, fields in enumerate(reader, start=2):
                if len(fields) == len(names):
                    yield number, ["" if place is None else fields[place].strip() for place in places]
                elif fields:
                    raise UserError(
                        f"row {number} of {path} has {len(fields)} fields, and there are {len(names)} columns: "
                        "a field with a comma in it needs quotes around it"
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} can't be read as text in UTF-8 ({error})") from error


def _delimiter(file: TextIO, path: Path) -> str:
    """Tabs, commas, or the semicolons of spreadsheets in countries that write 1,5."""
    header = file.readline()
    file.seek(0)
    if path.suffix.lower() in TABS:
        return "\t"
    return ";" if ";" in header and "," not in header else ","


def _read_parquet(path: Path, choose: Choose) -> Iterator[Record]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise UserError(f"{path} needs pyarrow: pip install -e .[parquet]") from error
    try:
        with ParquetFile(path) as file:
            names = file.schema_arrow.names
            places = choose(names)
            numbers = count(2)  # as if it were a spreadsheet with a header
            for batch in file.iter_batches(columns=[names[place] for place in places if place is not None]):
                columns = [repeat("") if place is None else _texts(batch, names[place]) for place in places]
                for fields in zip(*columns, strict=False):
                    yield next(numbers), list(fields)
    except (OSError, ArrowException) as error:
        raise UserError(f"{path} can't be read as Parquet ({error})") from error


def _texts(batch: Any, name: str) -> list[str]:
    return [_text(value) for value in batch.column(name).to_pylist()]


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers beside an empty field have become floats on their way through pandas
    return str(value).strip()
