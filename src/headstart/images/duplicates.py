"""The same image in two splits: what is measured on it is no measure of anything new."""

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..machine import usable_cores
from .table import ImageTable

log = logging.getLogger(__name__)


def find_duplicates(paths: Sequence[str]) -> list[list[str]]:
    """The files that are the same byte for byte, together; only files of the same size are read."""
    duplicates: list[list[str]] = []
    with ThreadPoolExecutor(usable_cores()) as pool:

        def same(of: Callable[[str], Hashable], paths: Iterable[str]) -> list[list[str]]:
            found: defaultdict[Hashable, list[str]] = defaultdict(list)
            for path, value in zip(paths, pool.map(of, paths), strict=True):
                found[value].append(path)
            return [some for some in found.values() if len(some) > 1]

        for some in same(_size, paths):
            duplicates += same(_digest, some)
    return duplicates


def warn_of_duplicates(table: ImageTable, duplicates: Sequence[Sequence[str]]) -> None:
    """Say how many images are in more than one split; `duplicates` are those that `find_duplicates` found."""
    content = {path: some[0] for some in duplicates for path in some}
    train, val, test = (
        {content.get(sample.path, sample.path): sample.path for sample in split}
        for split in (table.train, table.val, table.test)
    )
    torn = sorted((train.keys() & val.keys()) | (train.keys() & test.keys()) | (val.keys() & test.keys()))
    if torn:
        places = [split[torn[0]] for split in (train, val, test) if torn[0] in split]
        log.warning(
            f"{len(torn):,} images are in more than one split, byte for byte, such as {' and '.join(places[:2])}: "
            "what is measured on them is too good"
        )


def _size(path: str) -> int | str:
    try:
        return os.stat(path).st_size  # noqa: PTH116 (pathlib takes five times as long)
    except OSError:
        return path  # what can't be read is like nothing else


def _digest(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return path
