"""Copies of images, in a folder for each class."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import IO

from ...errors import UserError

UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')  # in a folder's name, on one system or another
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # by Windows
LONGEST = 60  # characters, which may have four bytes each, of 255


def class_folders(classes: Iterable[str]) -> dict[str, str]:
    """A folder's name for each class: its own, wherever that is safe; no two are equal on a system without case."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for name in classes:
        safe = UNSAFE.sub("_", name)[:LONGEST].rstrip(". ")
        safe = f"_{safe}" if not safe or safe.startswith(".") or RESERVED.fullmatch(safe) else safe
        numbered = (safe if number == 1 else f"{safe}_{number}" for number in count(1))
        names[name] = next(one for one in numbered if one.casefold() not in taken)
        taken.add(names[name].casefold())
    return names


def refuse_inside(folder: Path, images: Iterable[str]) -> None:
    """Raise UserError where copies would lie among the folders that are looked through, to be found the next time."""
    target = folder.resolve()
    around = [one for one in images if Path(one).is_dir() and target.is_relative_to(Path(one).resolve())]
    if around:
        raise UserError(
            f"--copy-to {folder} lies in {around[0]}, so that the copies would be read the next time: choose a "
            "folder outside"
        )


class Copies:
    """Copies images into class folders below `folder`, each by its own name or with a number behind it.

    Nothing is ever moved or overwritten. Raises UserError for what can't be copied.
    """

    def __init__(self, folder: Path, classes: Iterable[str]) -> None:
        self.folder, self.names = folder, class_folders(classes)
        self._numbers: Counter[Path] = Counter()  # of the copies by that name

    def add(self, image: str, of_class: str) -> Path:
        """Copy an image; returns where it is."""
        folder = self.folder / self.names[of_class]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return self._copied(image, folder)
        except OSError as error:
            raise UserError(f"{image} can't be copied into {folder} ({error.strerror})") from error

    def _copied(self, image: str, folder: Path) -> Path:
        name = os.path.basename(image)  # noqa: PTH119
        stem, ending = os.path.splitext(name)  # noqa: PTH122
        while True:
            self._numbers[folder / name] += 1
            number = self._numbers[folder / name]
            target = folder / (name if number == 1 else f"{stem}_{number}{ending}")
            try:
                with target.open("xb") as file:
                    _fill(file, image, target)
            except FileExistsError:
                continue
            return target


def _fill(file: IO[bytes], image: str, target: Path) -> None:
    try:
        with Path(image).open("rb") as source:
            shutil.copyfileobj(source, file)
        file.flush()
        shutil.copystat(image, target)
    except BaseException:  # half an image is none, whatever has stopped it
        target.unlink(missing_ok=True)
        raise
