"""Find the pictures that can't be decoded before a training is started, and only once for the same files."""

import json
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from headstart.data.cores import usable_cores
from headstart.data.decode import BrokenPictureError, read_picture
from headstart.data.manifest import manifest
from headstart.data.table import PictureSet

MAX_NAMED = 10
MAX_PIXELS = 178_956_970  # those of half a gigabyte of RGB; beyond it, Pillow speaks of a decompression bomb

log = logging.getLogger(__name__)


def check_pictures(
    paths: Iterable[str], passed_dir: str | Path, on_error: str = "raise", max_pixels: int = MAX_PIXELS
) -> set[str]:
    """Decode every picture once, and return those that are broken: a warning names up to ten of them.

    `passed_dir` remembers for a set of files, by name, size and time, which ones are broken; those are tried again
    the next time, as permissions or a network's folder may have changed.

    Raises:
        ValueError: some are broken, and `on_error` is `raise`; the message names up to ten of them.
    """
    paths = sorted(paths)
    record = Path(passed_dir) / f"{manifest(paths)}-{max_pixels}.json"
    known = record.exists()
    doubtful = [paths[place] for place in json.loads(record.read_text())] if known else paths
    problems = _problems(doubtful, max_pixels)
    if not known:
        remember(record, [place for place, path in enumerate(paths) if path in problems])
    if problems and on_error == "raise":
        raise ValueError(f"{_listed(problems)}: replace or remove what is broken, or leave it out: data.on_error=skip")
    if problems:
        log.warning(f"data.on_error=skip leaves {len(problems):,} broken pictures out: {_listed(problems)}")
    return set(problems)


def leave_out(pictures: PictureSet, broken: set[str]) -> PictureSet:
    """The table without the broken ones; raises ValueError for a class that loses all of its training pictures."""
    splits = {"train": pictures.train, "val": pictures.val, "test": pictures.test}
    kept = {name: tuple(sample for sample in split if sample.path not in broken) for name, split in splits.items()}
    lost = {sample.label for sample in pictures.train} - {sample.label for sample in kept["train"]}
    if lost:
        name = pictures.classes[min(lost)]
        raise ValueError(
            f"class {name!r} has no training picture that isn't broken: replace some, or remove its folder"
        )
    return replace(pictures, **kept, skipped=len(broken))


def _problems(paths: Sequence[str], max_pixels: int) -> dict[str, str]:
    """What is wrong with those pictures that are broken, by path."""

    def problem(path: str) -> str | None:
        try:
            read_picture(path, max_pixels)
        except BrokenPictureError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(usable_cores()) as pool:  # decoding releases the GIL
        outcomes = pool.map(problem, paths)
        hidden = not Console().is_terminal
        shown = track(zip(paths, outcomes, strict=True), "Checking pictures", total=len(paths), disable=hidden)
        return {path: found for path, found in shown if found is not None}


def _listed(problems: dict[str, str]) -> str:
    more = f" and {len(problems) - MAX_NAMED:,} more" if len(problems) > MAX_NAMED else ""
    return "; ".join(list(problems.values())[:MAX_NAMED]) + more


def remember(record: Path, found: list[int] | list[str]) -> None:
    """Write what was found (the places of the broken ones, say), whole or not at all: runs may start together."""
    record.parent.mkdir(parents=True, exist_ok=True)
    part = record.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(found))
    part.replace(record)
