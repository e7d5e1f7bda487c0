"""What the feature cache holds, and how to make room in it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .metadata import ENDING, LOCK, PART, read_metadata

DAY = 24 * 60 * 60  # seconds


@dataclass(frozen=True)
class Stored:
    """One file of features; `metadata` are empty for a damaged or unfinished one."""

    path: Path
    size: int
    days_unused: float
    metadata: dict[str, Any]


def stored(folder: str | Path) -> list[Stored]:
    """Every file of features below `folder`, the last used first; finished ones, and what killed runs left behind."""
    paths = [path for ending in (ENDING, PART) for path in Path(folder).glob(f"*{ending}")]
    found = [_stored(path) for path in paths]
    return sorted(found, key=lambda one: one.days_unused)


def prune(folder: str | Path, days: float) -> Iterator[Stored]:
    """Delete what no run used in the last `days`, and all that is unfinished, but nothing that is being written."""
    for one in stored(folder):
        if one.path.suffix == PART or one.days_unused >= days:
            try:
                with FileLock(one.path.with_suffix(LOCK), timeout=0):
                    one.path.unlink()
            except Timeout:
                continue
            yield one


def _stored(path: Path) -> Stored:
    status = path.stat()
    try:
        metadata = read_metadata(path)
    except ValueError:
        metadata = {}
    return Stored(path, status.st_size, max(0.0, (time.time() - status.st_mtime) / DAY), metadata)
