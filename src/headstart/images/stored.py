"""Images that come as bytes or arrays, written as files once, beside a labels.csv with their classes and splits."""

import csv
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from rich.console import Console
from rich.progress import track

from ..errors import UserError
from ..files import atomic_folder
from .table import Row

LABELS = "labels.csv"
MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}

log = logging.getLogger(__name__)


class EncodedImage(NamedTuple):
    """An encoded image, or the path of its file, with the name of its class and its split."""

    content: bytes | str
    label: str
    split: str | None = None


def read_stored(folder: Path) -> list[Row] | None:
    """The images that were written to `folder`; None where there are none yet, or where some are gone."""
    if not (folder / LABELS).exists():
        return None
    rows = _read(folder)
    gone = next((row.path for row in rows if not os.path.exists(row.path)), None)  # noqa: PTH110 (pathlib is slower)
    if gone is None:
        return rows
    log.warning(f"{gone} is gone: the images below {folder} are written again")
    return None


def store_once(folder: Path, images: Iterable[EncodedImage], count: int) -> list[Row]:
    """Write `count` images below `folder`, whole or not at all, unless another process has just done so.

    Files that exist already stay where they are. Raises UserError when the folder can't be written, and for a file
    that is given several classes or splits.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            rows = read_stored(folder)
            if rows is not None:
                return rows
            shutil.rmtree(folder, ignore_errors=True)
            with atomic_folder(folder) as part:
                _write(part, images, count)
    except OSError as error:
        raise UserError(
            f"{folder} can't be written ({error.strerror or error}): free some space, or set data.images_dir"
        ) from error
    return _read(folder)


def _read(folder: Path) -> list[Row]:
    """A row for each image; one that is listed twice in the same way counts once."""
    with (folder / LABELS).open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        found = ((os.path.join(folder, line["path"]), line) for line in lines)  # noqa: PTH118 (pathlib is slower)
        rows = dict.fromkeys(Row(path, line["label"], line["split"] or None) for path, line in found)
    by_path = {row.path: row for row in rows}
    for row in rows:
        if by_path[row.path] != row:
            raise UserError(f"{row.path} has several classes or splits in its data set, see {folder / LABELS}")
    return list(rows)


def _write(folder: Path, images: Iterable[EncodedImage], count: int) -> None:
    console = Console(stderr=True)
    with (folder / LABELS).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "split"))
        shown = track(images, "Writing images", count, console=console, disable=not console.is_terminal)
        for number, (content, label, split) in enumerate(shown):
            if isinstance(content, str):
                path = os.path.abspath(content)  # noqa: PTH100 (the table lies elsewhere)
            else:
                path = f"{split or 'all'}/{number:07d}{_ending(content)}"
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_bytes(content)
            table.writerow((path, label, split))


def _ending(content: bytes) -> str:
    """For people and their viewers only: what decodes the file looks at its content."""
    return next((ending for magic, ending in MAGIC.items() if content.startswith(magic)), "")
