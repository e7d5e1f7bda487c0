"""What the caches of features and small images hold, and how to make room in them; without torch, slow to import."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from ..errors import UserError

ENDING, PART, LOCK = ".safetensors", ".part", ".lock"
COPY = ".jpg"  # of a large image
DAY = 24 * 60 * 60  # seconds


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that was written with the features; raises UserError for a damaged file."""
    try:
        with safe_open(path, framework="np") as file:
            return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): delete it, and it is computed again") from error


@dataclass(frozen=True)
class StoredFeatures:
    """One file of features; `metadata` is empty for a damaged or unfinished one."""

    path: Path
    size: int  # bytes
    days_unused: float
    metadata: dict[str, Any]


def stored_features(folder: str | Path) -> list[StoredFeatures]:
    """Every file of features below `folder`, the last used first; finished ones, and what killed runs left behind."""
    paths = [path for ending in (ENDING, PART) for path in Path(folder).glob(f"*{ending}")]
    return sorted(map(_stored, paths), key=lambda file: file.days_unused)


def prune(folder: str | Path, days: float) -> Iterator[StoredFeatures]:
    """Delete what no run used in the last `days`, and all that is unfinished, but nothing that is being written.

    Locks go with what they guarded, or were left behind by a run that was killed.
    """
    for file in stored_features(folder):
        if file.path.suffix == PART or file.days_unused >= days:
            try:
                with FileLock(file.path.with_suffix(LOCK), timeout=0):
                    file.path.unlink()
            except Timeout:
                continue
            yield file
    for lock in Path(folder).glob(f"*{LOCK}"):
        if not lock.with_suffix(ENDING).exists() and not lock.with_suffix(PART).exists():
            with suppress(Timeout), FileLock(lock, timeout=0):
                lock.unlink(missing_ok=True)


def stored_copies(folder: str | Path) -> list[StoredFeatures]:
    """Every small copy of a large image below `folder`, and what killed runs left behind of some."""
    paths = [path for ending in (COPY, PART) for path in Path(folder).glob(f"*{ending}")]
    return [StoredFeatures(path, path.stat().st_size, _days_unused(path.stat().st_mtime), {}) for path in paths]


def prune_copies(folder: str | Path, days: float) -> Iterator[StoredFeatures]:
    """Delete small copies that no run used in the last `days`, and what is unfinished after one day."""
    for file in stored_copies(folder):
        if file.days_unused >= (max(days, 1) if file.path.suffix == PART else days):
            file.path.unlink(missing_ok=True)
            yield file


def _days_unused(changed: float) -> float:
    return max(0.0, (time.time() - changed) / DAY)


def _stored(path: Path) -> StoredFeatures:
    status = path.stat()
    try:
        metadata = read_metadata(path)
    except UserError:
        metadata = {}
    return StoredFeatures(path, status.st_size, _days_unused(status.st_mtime), metadata)
