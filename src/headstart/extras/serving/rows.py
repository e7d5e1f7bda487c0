"""What was predicted of files, a row for each: as CSV, Parquet or JSON, in a file that is whole or not there."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError, printable
from ...files import PART, numbered

UNSURE, BROKEN = "unsure", ""
DEFAULT = "predictions.csv"
ROWS = 4096  # of a Parquet file that are written at once
DIGITS = 6  # of a probability in text

Value = str | float | None
Write = Callable[[Sequence[Value]], None]


class Row(NamedTuple):
    """A file, its likeliest classes and their probabilities, the first `decided` or not; or why there are none."""

    path: str
    classes: Sequence[str] = ()
    probabilities: Sequence[float] = ()
    error: str = ""
    decided: bool = True

    @property
    def verdict(self) -> str:
        """The class, or "unsure", or "" of a broken file."""
        return (self.classes[0] if self.decided else UNSURE) if self.classes else BROKEN

    def values(self, columns: Sequence[str]) -> list[Value]:
        """In the order of `columns_of`."""
        known: dict[str, Value] = {"path": printable(self.path), "error": printable(self.error) or None}
        pairs = zip(self.classes, self.probabilities, strict=True)
        for number, (name, probability) in enumerate(pairs, start=1):
            ending = "" if number == 1 else f"_{number}"
            known |= {f"class{ending}": printable(name), f"probability{ending}": probability}
        likeliest = known.get("class")
        return [({**known, "class": self.verdict or None, "likeliest": likeliest}).get(name) for name in columns]


def columns_of(top: int, with_likeliest: bool = False) -> list[str]:
    """path, class, probability, error, and class and probability of the next likeliest.

    `likeliest` is last: the likeliest class of those, too, that are called unsure.
    """
    more = [f"{what}_{number}" for number in range(2, top + 1) for what in ("class", "probability")]
    return ["path", "class", "probability", "error", *more, *(["likeliest"] if with_likeliest else [])]


def place_for(output: str | None) -> Path:
    """Where rows go: to `output`, or to predictions.csv, or predictions_2.csv and so on, whichever isn't there yet.

    Raises UserError for a name that no table has, or a folder.
    """
    if output is None:
        return next(path for path in numbered(Path(DEFAULT)) if not os.path.lexists(path))
    path = Path(output).expanduser()
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--output {output}: its name has to end in {', '.join(FORMATS)}")
    if path.is_dir():
        raise UserError(f"--output {output} is a folder: name a file in it")
    return path


@contextmanager
def writing(path: Path, columns: Sequence[str]) -> Iterator[Write]:
    """What takes one row's values after the other; the file takes the place of an earlier one at the end.

    Raises UserError where no file can be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise UserError(f"{path} can't be written ({error.strerror}): choose another --output") from error
    try:
        with FORMATS[path.suffix.lower()](part, columns) as write:
            yield write
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _csv(path: Path, columns: Sequence[str]) -> Iterator[Write]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        yield lambda values: writer.writerow(map(_in_text, values))


@contextmanager
def _json(path: Path, columns: Sequence[str]) -> Iterator[Write]:
    """A list of objects, each in a line."""
    between = "[\n"

    def write(values: Sequence[Value]) -> None:
        nonlocal between
        row = dict(zip(columns, map(_in_text, values), strict=True))
        file.write(between + json.dumps(row, ensure_ascii=False))
        between = ",\n"

    with path.open("w", encoding="utf-8") as file:
        yield write
        file.write("\n]\n" if between != "[\n" else "[]\n")


@contextmanager
def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    kinds = [pyarrow.float32() if name.startswith("probability") else pyarrow.string() for name in columns]
    schema = pyarrow.schema(zip(columns, kinds, strict=True))
    held: list[Sequence[Any]] = []
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:

        def write_held() -> None:
            arrays = [pyarrow.array(column, kind) for column, kind in zip(zip(*held, strict=True), kinds, strict=True)]
            file.write_batch(pyarrow.record_batch(arrays, schema=schema))
            held.clear()

        def write(values: Sequence[Value]) -> None:
            held.append(values)
            if len(held) == ROWS:
                write_held()

        yield write
        if held:
            write_held()


def _in_text(value: Value) -> Value:
    return round(value, DIGITS) if isinstance(value, float) else value


FORMATS = {".csv": _csv, ".parquet": _parquet, ".json": _json}
