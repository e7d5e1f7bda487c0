"""The rows of a CSV, TSV or Parquet file as text by column: all of them, or an error that names the row."""

import codecs
import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any

from headstart.errors import UserError, did_you_mean

SPLIT = "split"  # the one column that need not be there
PARQUET = (".parquet", ".pq")
ENDINGS = (".csv", ".tsv", ".tab", *PARQUET)
DELIMITERS = ",;\t|"
SEP = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)  # a first line that Excel wants
SPACES_AFTER_QUOTE = re.compile(r'(?<=") +(?=[,;\t|\r\n]|\Z)')
# What nobody sees, and comes along from web pages and offices; not the joiners, which scripts and emoji need.
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"))

Columns = Mapping[str, str | None]  # the names of the columns, by the config's keys for them
Record = Mapping[str, str]  # the values of a row, by column


def read_records(path: Path, columns: Columns, is_image: Callable[[str], Any]) -> Iterator[tuple[int, Record]]:
    """Every row's number, as a spreadsheet shows it, and its values without spaces around them; an empty one is "".

    Text may be in UTF-8 or, with its mark, UTF-16, and parted by commas, semicolons, tabs or bars. `is_image` says
    whether a text names an image: a field of several lines that does so is what a stray quote has made of many rows.

    Raises:
        UserError: a file or row that can't be read, or a column that isn't there, or there twice.
    """
    return _read_parquet(path, columns) if path.suffix.lower() in PARQUET else _read_text(path, columns, is_image)


def _read_text(path: Path, columns: Columns, is_image: Callable[[str], Any]) -> Iterator[tuple[int, Record]]:
    text = _decoded(path).lstrip("\r\n")
    said = SEP.match(text)
    text = SPACES_AFTER_QUOTE.sub("", text[said.end() :] if said else text)
    delimiter = said[1] if said else _delimiter(re.split("[\r\n]", text, maxsplit=1)[0], columns)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    names: list[str] = []
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            fields = [field.strip() for field in row]
            if not names:
                names = _checked_names(path, fields, columns)
            elif any(fields):
                _check_fields(path, number, fields, len(names), delimiter, is_image)
                yield number, dict(zip(names, fields, strict=True))
    except csv.Error as error:
        raise UserError(
            f"row {number + 1} of {path} can't be read ({error}): a quote inside quotes is written twice, a stray one "
            "has to go"
        ) from error
    if not names:
        _checked_names(path, [], columns)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror})") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
        wrong = text.index("\0") if "\0" in text else None
    except UnicodeDecodeError as error:
        text, wrong = "", error.start
    if wrong is None:
        return text
    row = content.count(b"\n", 0, wrong) + 1
    raise UserError(f"row {row} of {path} can't be read as text in UTF-8: save it as such (in Excel: CSV UTF-8)")


def _delimiter(header: str, columns: Columns) -> str:
    """What parts the header into most of the wanted columns, or else into most parts."""
    wanted = set(columns.values())

    def fit(delimiter: str) -> tuple[int, int]:
        names = [visible(name.strip(' "')) for name in header.split(delimiter)]
        return len(wanted.intersection(names)), len(names)

    return max(DELIMITERS, key=fit)


def _check_fields(
    path: Path, number: int, fields: Sequence[str], count: int, delimiter: str, is_image: Callable[[str], Any]
) -> None:
    """Raise a UserError for a row of more or fewer fields than columns, or one with other rows in a field."""
    if len(fields) != count:
        quotes = f"a field with a {delimiter!r} in it needs quotes around it"
        way = quotes if len(fields) > count else "fill in what is missing, or remove the row"
        raise UserError(f"row {number} of {path} has {len(fields)} fields, and there are {count} columns: {way}")
    for field in fields:
        lines = field.splitlines()
        rows = [line.split(delimiter) for line in lines if len(lines) > 1 and delimiter in line]
        if name := next((part for row in rows for part in row if part and is_image(part.strip(' "'))), None):
            raise UserError(
                f"row {number} of {path} has {len(lines)} lines in one field, with the image {name} in it: remove a "
                "stray quote, or write it twice inside quotes"
            )


def _read_parquet(path: Path, columns: Columns) -> Iterator[tuple[int, Record]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            given = file.schema_arrow.names
            names = dict(zip(given, _checked_names(path, given, columns), strict=True))
            wanted = [name for name, shown in names.items() if shown in columns.values()]
            batches = (batch.to_pylist() for batch in file.iter_batches(columns=wanted))
            for number, record in enumerate(chain.from_iterable(batches), start=2):  # as if below a header
                yield number, {names[name]: _text(path, number, name, value) for name, value in record.items()}
    except (OSError, ArrowException) as error:
        raise UserError(f"{path} can't be read as Parquet ({error})") from error


def _text(path: Path, number: int, column: str, value: Any) -> str:
    """What a CSV of the same table would say."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers beside an empty field have become floats on their way through pandas
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, list | dict | tuple):
        raise UserError(
            f"row {number} of {path} has a {type(value).__name__} as {column}: it must be one text or number"
        )
    return str(value).strip()


def _checked_names(path: Path, given: Sequence[str], columns: Columns) -> list[str]:
    """The columns' names without what isn't seen; raises UserError where a wanted one isn't there once."""
    names = [visible(name).strip() for name in given]
    for key, column in columns.items():
        if column is None or (column not in names and (key, column) == ("split_column", SPLIT)):
            continue
        if column not in names:
            there, said = (
                ", ".join(names) or "none",
                "there are" if path.suffix.lower() in PARQUET else "its first row has",
            )
            hint = did_you_mean(column, names)
            raise UserError(f"{path} has no column {column} (data.{key}); {hint}{said}: {there}")
        if names.count(column) > 1:
            raise UserError(f"{path} has {names.count(column)} columns {column} (data.{key}): rename all but one")
    return names


def visible(text: str) -> str:
    """The text without characters that have no shape, such as zero-width spaces."""
    return text if text.isascii() else text.translate(INVISIBLE)
