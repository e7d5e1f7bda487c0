"""The image files that a command line names: files, folders, and globs."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ...errors import UserError, listed
from ...images.endings import TAKEN
from ...images.folders import foreign, walk

URL = re.compile(r"[a-z][a-z0-9+.-]*:/+", re.IGNORECASE)


def find_images(names: Iterable[str]) -> list[str]:
    """The paths of all images, each once, in the order in which they were named; those of a folder are sorted.

    A file is taken whatever it is called. A folder is looked through with all folders in it for what is called like an
    image, without what is hidden or left behind by a system; so is what a glob (`*`, `?`, `[...]`, `**`) finds, unless
    there is a file or folder of that very name.

    Raises UserError for what isn't there, a folder or a glob without images, and a URL.
    """
    names = list(names)
    if unknown := [name for name in names if not _there(name) and not glob.has_magic(name)]:
        if URL.match(unknown[0]):
            raise UserError(f"{unknown[0]} is a URL: download it first; images are files, folders or globs")
        raise UserError(f"there is no {listed(unknown)}: name image files, folders or globs")
    real_folder = cache(os.path.realpath)
    found: dict[tuple[str, str], str] = {}
    for path in (path for name in names for path in _images_of(name)):
        folder, file = os.path.split(path)
        found.setdefault((real_folder(folder), file), path)
    return [*found.values()]


def _there(name: str) -> bool:
    return os.path.lexists(_home(name))


def _images_of(name: str) -> list[str]:
    path = _home(name)
    if Path(path).is_dir() and path:
        return _in_folder(path)
    if os.path.lexists(path):
        if Path(path).exists() and not Path(path).is_file():
            raise UserError(f"{name} is neither a file nor a folder")
        return [path]
    matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 (keeps a path as it was typed)
    typed = Path(path).parts
    matches = [one for one in matches if not any(foreign(part) for part in Path(one).parts if part not in typed)]
    found = [one for one in matches if os.path.isfile(one) and _is_image(one)]  # noqa: PTH113
    if "**" not in path:  # which has found what is in the folders already
        found += [image for one in matches if os.path.isdir(one) for image in sorted(_all_in(one))]  # noqa: PTH112
    if not found:
        there = f", but {len(matches):,} other files or folders" if matches else ""
        raise UserError(f"{name} matches no image{there}")
    return found


def _in_folder(path: str) -> list[str]:
    found = sorted(_all_in(path))
    if not found:
        raise UserError(f"there is no image in {path}: no file in it ends as images do (.jpg, .png, .webp, ...)")
    return found


def _all_in(folder: str) -> Iterator[str]:
    for _, directory, files in walk({"": Path(folder)}):
        yield from (os.path.join(directory, file) for file in files if _is_image(file))  # noqa: PTH118


def _is_image(path: str) -> bool:
    name = os.path.basename(path)  # noqa: PTH119
    return os.path.splitext(name)[1].lower() in TAKEN and not foreign(name)  # noqa: PTH122


def _home(name: str) -> str:
    return name if os.path.lexists(name) else os.path.expanduser(name)  # noqa: PTH111
