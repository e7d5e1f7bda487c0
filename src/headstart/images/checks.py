"""Find the images that can't be decoded before a training is started, and only once for the same files."""

import json
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track

from ..errors import UserError
from ..files import manifest
from ..machine import usable_cores
from .decoding import BrokenImageError, read_image
from .duplicates import find_duplicates, warn_of_duplicates
from .table import ImageTable, Sample

MAX_NAMED = 10
MAX_PIXELS = 178_956_970  # those of half a gigabyte of RGB; beyond it, Pillow speaks of a decompression bomb

log = logging.getLogger(__name__)


class Findings(NamedTuple):
    """The broken ones among the files that were checked, and those that are the same byte for byte, together."""

    broken: set[str]
    duplicates: list[list[str]]


def without_broken(table: ImageTable, checked_dir: str | Path, on_error: str, max_pixels: int) -> ImageTable:
    """The images that can be decoded, as `check_images` finds out; warns of those that are in two splits."""
    samples = (*table.train, *table.val, *table.test)
    found = check_images((sample.path for sample in samples), checked_dir, on_error, max_pixels)
    whole = leave_out(table, found.broken)
    warn_of_duplicates(whole, found.duplicates)
    return whole


def check_images(
    paths: Iterable[str], checked_dir: str | Path, on_error: str = "raise", max_pixels: int = MAX_PIXELS
) -> Findings:
    """Decode every image once, and return those that are broken, or the same: a warning names up to ten broken ones.

    `checked_dir` remembers for a set of files, by name, size and time, what was found; broken ones are tried again
    the next time, as permissions or a network's folder may have changed.

    Raises:
        UserError: some are broken, and `on_error` is `raise`; the message names up to ten of them.
    """
    paths = sorted(set(paths))
    record = Path(checked_dir) / f"{manifest(paths)}-{max_pixels}.json"
    known = _remembered(record, paths)
    problems = _problems(paths if known is None else sorted(known.broken), max_pixels)
    duplicates = find_duplicates(paths) if known is None else known.duplicates
    if known is None:
        _remember(record, paths, Findings(set(problems), duplicates))
    if problems and on_error == "raise":
        raise UserError(
            f"{listed(list(problems.values()))}: replace or remove what is broken, or leave it out: data.on_error=skip"
        )
    if problems:
        log.warning(f"data.on_error=skip leaves {len(problems):,} broken images out: {listed(list(problems.values()))}")
    return Findings(set(problems), duplicates)


def leave_out(table: ImageTable, broken: set[str]) -> ImageTable:
    """The table without the broken ones; raises UserError for a class that loses all of its training images."""

    def whole(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(sample for sample in samples if sample.path not in broken)

    train, val, test = whole(table.train), whole(table.val), whole(table.test)
    lost = {sample.label for sample in table.train} - {sample.label for sample in train}
    if lost:
        name = table.classes[min(lost)]
        raise UserError(f"class {name!r} has no training image that isn't broken: replace some, or remove its folder")
    folds = tuple(whole(samples) for samples in table.folds)
    return replace(table, train=train, val=val, test=test, folds=folds, skipped=len(broken))


def _problems(paths: Sequence[str], max_pixels: int) -> dict[str, str]:
    """What is wrong with those images that are broken, by path."""

    def problem(path: str) -> str | None:
        try:
            read_image(path, max_pixels)
        except BrokenImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(usable_cores()) as pool:  # decoding releases the GIL
        outcomes = pool.map(problem, paths)
        hidden = not Console().is_terminal
        shown = track(zip(paths, outcomes, strict=True), "Checking images", total=len(paths), disable=hidden)
        return {path: found for path, found in shown if found is not None}


def listed(problems: list[str]) -> str:
    """Up to ten of them, in one line."""
    more = f" and {len(problems) - MAX_NAMED:,} more" if len(problems) > MAX_NAMED else ""
    return "; ".join(problems[:MAX_NAMED]) + more


def _remembered(record: Path, paths: list[str]) -> Findings | None:
    found = json.loads(record.read_text()) if record.exists() else None
    if not isinstance(found, dict):  # a list is from before there was more to remember than what is broken
        return None
    duplicates = [[paths[place] for place in places] for places in found["duplicates"]]
    return Findings({paths[place] for place in found["broken"]}, duplicates)


def _remember(record: Path, paths: list[str], found: Findings) -> None:
    place = {path: place for place, path in enumerate(paths)}
    duplicates = [[place[path] for path in some] for some in found.duplicates]
    remember(record, {"broken": sorted(place[path] for path in found.broken), "duplicates": duplicates})


def remember(record: Path, found: Any) -> None:
    """Write what was found (the places of the broken ones, say), whole or not at all: runs may start together."""
    record.parent.mkdir(parents=True, exist_ok=True)
    part = record.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(found))
    part.replace(record)
