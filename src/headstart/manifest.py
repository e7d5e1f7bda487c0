"""A list of files, as one short name that changes when any of them does."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .cores import usable_cores

VERIFY = ("stat", "content")


def manifest(paths: Iterable[str], verify: str = "stat") -> str:
    """sha256 over every file's path, size and time of change, in the order given; `content` takes its bytes instead.

    Raises ValueError for a `verify` that isn't known, and for a file whose content can't be read.
    """
    if verify not in VERIFY:
        raise ValueError(f"features.verify={verify}: choose {' or '.join(VERIFY)}")
    with ThreadPoolExecutor(usable_cores()) as pool:
        lines = pool.map(_by_content, paths) if verify == "content" else map(_by_stat, paths)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _by_stat(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 (pathlib takes five times as long, for every image of every job)
    except OSError:
        return f"{path} can't be read\n"
    return f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}\n"  # noqa: PTH100


def _by_content(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return f"{Path(path).absolute()} {hashlib.file_digest(file, 'sha256').hexdigest()}\n"
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror})") from error
