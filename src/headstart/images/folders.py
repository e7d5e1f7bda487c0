"""Every folder of an image set, once: without what systems leave behind, and without links that lead back."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from ..errors import UserError, listed

# What systems leave behind, beside everything hidden: macOS, the stations of Synology and QNAP, Windows, Linux.
FOREIGN = {"__macosx", "@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "@recently-snapshot", "$recycle.bin"}
FOREIGN |= {"system volume information", "lost+found"}

log = logging.getLogger(__name__)


def walk(split_dirs: Mapping[str, Path]) -> Iterator[tuple[str, str, list[str]]]:
    """The split, the path and the files of every folder, each once: links come last, as they may lead back."""
    waiting = [(str(path), split) for split, path in split_dirs.items()]
    waiting.sort(key=lambda top: Path(top[0]).is_symlink())
    seen: set[str] = set()  # with everything above, which no link may bring in
    again: list[str] = []
    for top, split in waiting:  # which grows by the links
        real = os.path.realpath(top)
        seen.update(map(str, Path(real).parents))
        for directory, names, files in os.walk(top, onerror=_refuse):
            place = real + directory[len(top) :]
            if place in seen:
                again.append(directory)
                names.clear()
                continue
            seen.add(place)
            names[:] = sorted(name for name in names if not foreign(name))
            links = [name for name in names if Path(directory, name).is_symlink()]
            waiting += [(f"{directory}{os.sep}{name}", split) for name in links]
            names[:] = [name for name in names if name not in links]
            yield split, directory, files
    if again:
        log.warning(f"{listed(again)}: left out, a link to a folder that is there already, or that holds these images")


def folders(parent: Path) -> list[Path]:
    """The folders in `parent`, but for links to itself or above."""
    real = parent.resolve()
    try:
        found = [path for path in sorted(parent.iterdir()) if path.is_dir() and not foreign(path.name)]
        return [path for path in found if not (path.is_symlink() and real.is_relative_to(path.resolve()))]
    except OSError as error:
        _refuse(error)


def foreign(name: str) -> bool:
    """Whether it is one of the files or folders that systems leave behind: `.DS_Store`, `._photo.jpg`, `@eaDir`."""
    return name.startswith(".") or name.lower() in FOREIGN


def refuse_dead_link(path: str) -> None:
    """Raise UserError for a link to nothing, which could have been a whole class."""
    link = Path(path)
    if link.is_symlink() and not link.exists():
        raise UserError(f"{path} is a link to {link.readlink()}, which isn't there: bring it back, or remove the link")


def _refuse(error: OSError) -> NoReturn:
    """Raise a UserError for a folder that can't be read, which `os.walk` would leave out and say nothing."""
    raise UserError(f"{error.filename} can't be read ({error.strerror}): change its permissions, or move it") from error
