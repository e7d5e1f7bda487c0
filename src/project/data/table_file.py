"""Images that a CSV, TSV or Parquet file names, a path and a label in every row; or that other rows name."""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache, partial
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any
from unicodedata import normalize

from headstart.errors import UserError, did_you_mean, listed
from headstart.files import TableFile
from headstart.images.endings import ENDINGS as IMAGES
from headstart.images.table import SPLIT_NAMES, Row, image_table

from .datamodule import ImageData
from .records import ENDINGS, SPLIT, Columns, Record, read_records, visible

# What pandas.read_csv takes for a missing value, beside an empty one.
MISSING = {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
MISSING |= {"NULL", "NaN", "None", "n/a", "nan", "null"}
WHOLE, NUMBER = re.compile(r"([+-]?\d+)\.0*", re.ASCII), re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I | re.A)
FOLDERS = 1000  # that are looked into for an image that isn't where the table says

Names = Mapping[str, list[str]]  # the files of a folder, by what a table may call them

log = logging.getLogger(__name__)


def from_rows(read: Callable[..., list[Row]], where: str, **options: Any) -> ImageData:
    """Images whose rows `read` returns; it gets those `options` that it takes, and ImageData the others.

    Messages call the source `where`.
    """
    known = {name: options.pop(name) for name in signature(read).parameters if name in options}
    return ImageData(lambda splitting: image_table(read(**known), splitting, where), **options)


def read_labels(
    path: TableFile,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str | None = SPLIT,
    group_column: str | None = None,
    root: str | Path | None = None,
) -> list[Row]:
    """Read a row for each image; paths start from `root`, by default the file's folder, unless they are absolute.

    The split is train, val, valid, validation or test, in any case, or empty: then it is as if there were none. A
    column `split` need not be there. An image that is named twice in the same way counts once. What pandas takes for
    a missing value is an empty one; labels and paths are those that `tidy` and `find_file` make of them.

    Raises:
        UserError: a file that can't be read, a column that isn't there, an empty path or label, an unknown split, an
            image that is named twice in different ways, images that don't exist, or a number that is written in two
            ways.
    """
    path = _table(Path(path).expanduser())
    columns = {"path_column": path_column, "label_column": label_column}
    columns |= {"split_column": split_column, "group_column": group_column}
    find = partial(find_file, str(path.parent if root is None else Path(root).expanduser()), cache(images_in))
    found: dict[str, tuple[int, Row]] = {}
    missing: dict[str, int] = {}
    for number, record in read_records(path, columns, lambda text: text.lower().endswith(tuple(IMAGES)) or find(text)):
        row = _row(path, number, record, columns)
        if (file := find(row.path)) is None:
            missing.setdefault(row.path, number)
            continue
        first, other = found.setdefault(file, (number, row._replace(path=file)))
        if other != row._replace(path=file):
            raise UserError(f"rows {first} and {number} of {path} differ about {row.path}: keep one of them")
    if missing:
        raise UserError(_where_from(path, missing, len(found), find))
    _check_alike(path, {row.label for _, row in found.values()})
    return [row for _, row in found.values()]


def tidy(text: str) -> str:
    """A label so that all that look alike are the same: in NFC, with single spaces and without what has no shape.

    Whole numbers have no `.0`: it comes from an empty field in their column, on the way through pandas.
    """
    text = " ".join(normalize("NFC", visible(text)).split()).strip("\u200c\u200d")  # joiners, with nothing to join
    return "" if text in MISSING else WHOLE.sub(r"\1", text) if WHOLE.fullmatch(text) else text


def find_file(root: str, images_in: Callable[[str], Names], name: str) -> str | None:
    """The path of the file that a table calls `name`; None where there is none, or more than one that it could be.

    If none is called just so: with slashes for backslashes, accents put together otherwise, without what has no shape,
    with an image's ending in other letters, or with one where there is none. `images_in` is the function below.
    """
    path = _joined(root, name)
    if os.path.isfile(path):  # noqa: PTH113 (a third of the time)
        return path
    spellings = [name, name.replace("\\", "/")]
    spellings += [normalize(form, visible(one)) for one in spellings for form in ("NFC", "NFD")]
    paths = [_joined(root, one) for one in dict.fromkeys(spellings)]
    for path in paths:
        if os.path.isfile(path):  # noqa: PTH113
            return path
    for folder, last in map(os.path.split, paths):
        if len(found := images_in(folder).get(_plain(last), ())) == 1:
            return _joined(folder, found[0])
    return None


def images_in(folder: str) -> Names:
    """The images in a folder by their `_plain` name, and by that without the ending."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    with suppress(OSError):
        for file in os.listdir(folder):  # noqa: PTH208
            stem, ending = os.path.splitext(_plain(file))  # noqa: PTH122
            for name in (stem, stem + ending) if ending in IMAGES else ():
                found[name].append(file)
    return found


def _plain(name: str) -> str:
    """A file's name in NFC, with an ending in small letters."""
    stem, ending = os.path.splitext(normalize("NFC", visible(name)))  # noqa: PTH122
    return stem + ending.lower()


def _joined(root: str, name: str) -> str:
    return os.path.normpath(os.path.join(root, name))  # noqa: PTH118 (pathlib takes five times as long)


def _table(path: Path) -> Path:
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path} must be CSV, TSV or Parquet: its name has to end in {', '.join(ENDINGS)}")
    if not path.is_file():
        raise UserError(f"there is no file {path} (data.path)")
    return path


def _row(path: Path, number: int, record: Record, columns: Columns) -> Row:
    name, *given = (record.get(column or "", "") for column in columns.values())
    label, split, group = map(tidy, given)
    for value, text, column in ((name, name, "path_column"), (label, given[0], "label_column")):
        if not value or value in MISSING:
            says = f" ({text} stands for a missing value)" if text else ""
            raise UserError(f"row {number} of {path} has no {columns[column]}{says}: fill it in, or remove the row")
    if split and split.lower() not in SPLIT_NAMES:
        raise UserError(f"row {number} of {path}: {split!r} is no split; there are {', '.join(SPLIT_NAMES)}")
    return Row(name, label, SPLIT_NAMES[split.lower()] if split else None, group or None)


def _where_from(path: Path, missing: Mapping[str, int], there: int, find: partial[str | None]) -> str:
    """What to say of files that a table names and that aren't there."""
    root, images_in = find.args
    name, number = next(iter(missing.items()))
    others = (
        f", and {len(missing) - 1:,} more of {len(missing) + there:,} files are missing" if len(missing) > 1 else ""
    )
    folders = (folder for folder, _, _ in islice(os.walk(root), 1, FOLDERS) if find_file(folder, images_in, name))
    folder, last = os.path.split(file := _joined(root, name))
    beside = sorted({image for images in images_in(folder).values() for image in images})
    if deeper := next(folders, None):
        hint = f"did you mean data.root={deeper}? "
    else:
        hint = did_you_mean(last, beside, 2) or (f"an image there is {beside[0]}; " if beside else "")
    return f"there is no file {file} (row {number} of {path}){others}: {hint}paths start from {root} (data.root)"


def _check_alike(path: Path, labels: Iterable[str]) -> None:
    """Raise a UserError for a number that is written in two ways; warn of names that differ in their case alone."""
    alike: defaultdict[Decimal | str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        number = NUMBER.fullmatch(label)
        alike[Decimal(label) if number else normalize("NFKC", label).casefold()].append(label)
    for value, several in alike.items():
        if len(several) > 1 and isinstance(value, Decimal):
            raise UserError(f"{path} has the labels {' and '.join(several)}, which are one number: write it in one way")
    pairs = [" and ".join(several) for several in alike.values() if len(several) > 1]
    if pairs:
        log.warning(f"{path} has labels that differ in the case of letters, or less: {listed(pairs)}")
