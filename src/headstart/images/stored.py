"""Images that come as bytes or arrays, written as files once: beside them, labels.csv says what they show."""

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

from project.data.table_file import read_labels

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
    """The images that were written to `folder`; None where that hasn't been, or where some are gone."""
    if not (folder / LABELS).exists():
        return None
    try:
        return read_labels(folder / LABELS)
    except ValueError as error:
        log.warning(f"the images are written again, as {error}")
        return None


def store_once(folder: Path, images: Iterable[EncodedImage], count: int) -> list[Row]:
    """Write `count` images below `folder`, whole or not at all, unless another process has just done so.

    Files that exist already stay where they are. Raises UserError when the folder can't be written.
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
    return read_labels(folder / LABELS)


def _write(folder: Path, images: Iterable[EncodedImage], count: int) -> None:
    console = Console(stderr=True)
    with (folder / LABELS).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(Row._fields[:3])
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
