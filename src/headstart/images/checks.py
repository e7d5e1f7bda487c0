"""Find the pictures that can't be decoded before a training is started, and only once for the same files."""

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

from ..cores import usable_cores
from ..manifest import manifest
from .decoding import BrokenPictureError, read_picture
from .duplicates import find_twins, warn_of_twins
from .table import PictureSet, Sample

MAX_NAMED = 10
MAX_PIXELS = 178_956_970  # those of half a gigabyte of RGB; beyond it, Pillow speaks of a decompression bomb

log = logging.getLogger(__name__)


class Findings(NamedTuple):
    """The broken ones among the files that were checked, and those that are the same byte for byte, together."""

    broken: set[str]
    twins: list[list[str]]


def only_whole(pictures: PictureSet, passed_dir: str | Path, on_error: str, max_pixels: int) -> PictureSet:
    """The pictures that can be decoded, as `check_pictures` finds out; warns of those that are in two splits."""
    samples = (*pictures.train, *pictures.val, *pictures.test)
    found = check_pictures((sample.path for sample in samples), passed_dir, on_error, max_pixels)
    whole = leave_out(pictures, found.broken)
    warn_of_twins(whole, found.twins)
    return whole


def check_pictures(
    paths: Iterable[str], passed_dir: str | Path, on_error: str = "raise", max_pixels: int = MAX_PIXELS
) -> Findings:
    """Decode every picture once, and return those that are broken, or the same: a warning names up to ten broken ones.

    `passed_dir` remembers for a set of files, by name, size and time, what was found; broken ones are tried again
    the next time, as permissions or a network's folder may have changed.

    Raises:
        ValueError: some are broken, and `on_error` is `raise`; the message names up to ten of them.
    """
    paths = sorted(set(paths))
    record = Path(passed_dir) / f"{manifest(paths)}-{max_pixels}.json"
    known = _remembered(record, paths)
    problems = _problems(paths if known is None else sorted(known.broken), max_pixels)
    twins = find_twins(paths) if known is None else known.twins
    if known is None:
        _remember(record, paths, Findings(set(problems), twins))
    if problems and on_error == "raise":
        raise ValueError(
            f"{listed(list(problems.values()))}: replace or remove what is broken, or leave it out: data.on_error=skip"
        )
    if problems:
        log.warning(
            f"data.on_error=skip leaves {len(problems):,} broken pictures out: {listed(list(problems.values()))}"
        )
    return Findings(set(problems), twins)


def leave_out(pictures: PictureSet, broken: set[str]) -> PictureSet:
    """The table without the broken ones; raises ValueError for a class that loses all of its training pictures."""

    def whole(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(sample for sample in samples if sample.path not in broken)

    train, val, test = whole(pictures.train), whole(pictures.val), whole(pictures.test)
    lost = {sample.label for sample in pictures.train} - {sample.label for sample in train}
    if lost:
        name = pictures.classes[min(lost)]
        raise ValueError(
            f"class {name!r} has no training picture that isn't broken: replace some, or remove its folder"
        )
    folds = tuple(whole(samples) for samples in pictures.folds)
    return replace(pictures, train=train, val=val, test=test, folds=folds, skipped=len(broken))


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


def listed(problems: list[str]) -> str:
    """Up to ten of them, in one line."""
    more = f" and {len(problems) - MAX_NAMED:,} more" if len(problems) > MAX_NAMED else ""
    return "; ".join(problems[:MAX_NAMED]) + more


def _remembered(record: Path, paths: list[str]) -> Findings | None:
    found = json.loads(record.read_text()) if record.exists() else None
    if not isinstance(found, dict):  # a list is from before there was more to remember than what is broken
        return None
    twins = [[paths[place] for place in places] for places in found["twins"]]
    return Findings({paths[place] for place in found["broken"]}, twins)


def _remember(record: Path, paths: list[str], found: Findings) -> None:
    place = {path: place for place, path in enumerate(paths)}
    twins = [[place[path] for path in some] for some in found.twins]
    remember(record, {"broken": sorted(place[path] for path in found.broken), "twins": twins})


def remember(record: Path, found: Any) -> None:
    """Write what was found (the places of the broken ones, say), whole or not at all: runs may start together."""
    record.parent.mkdir(parents=True, exist_ok=True)
    part = record.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(found))
    part.replace(record)
