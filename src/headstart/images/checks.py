"""Find broken, blank and equal images before training, once for the same files."""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from ..errors import UserError, listed
from ..files import manifest, write_atomically
from ..machine import usable_cores
from .decoder_output import decode_each
from .decoding import BrokenImageError, TooLargeError, read_with_size
from .looks import ENOUGH, CheckedImages, Look, look_at
from .splits import MOST
from .table import SPLITS, ImageTable

MAX_PIXELS = 178_956_970  # those of half a gigabyte of RGB; beyond it, Pillow speaks of a decompression bomb
FORMAT = 4  # raise it whenever other files are found broken, or more is found out
NEARLY_ALL = 0.9

log = logging.getLogger(__name__)


def without_broken(table: ImageTable, checked_dir: str | Path, on_error: str, max_pixels: int) -> ImageTable:
    """The table without broken images, as `check_images` finds them; warns of images in two splits or classes."""
    samples = (*table.train, *table.val, *table.test)
    checked = check_images((sample.path for sample in samples), checked_dir, on_error, max_pixels)
    table = replace(leave_out(table, checked.broken), checked=checked)
    warn_of_blank_images(table, checked.blank)
    warn_of_duplicates(table, checked.duplicates)
    return table


def check_splits(table: ImageTable) -> None:
    """Say that nothing is tested; raise UserError where nothing is to train on, or to choose the best epoch by."""
    for split, use in (("train", "to train on"), ("val", "to choose the best epoch by")):
        if not table.has(split):
            raise UserError(
                f"there are no {split} images {use}: see data.val_fraction and data.test_fraction, "
                f"or put class folders with images into {split}/"
            )
    if not table.has("test"):
        log.warning(
            "there are no test images (data.test_fraction, or class folders in test/): this run ends without a test"
        )


def check_images(
    paths: Iterable[str], checked_dir: str | Path, on_error: str = "raise", max_pixels: int = MAX_PIXELS
) -> CheckedImages:
    """Decode every image once, and return what is broken or equal, and how each looks; a warning names ten broken ones.

    Damage that a decoder only warns of is damage. `checked_dir` remembers for a set of files, by name, size and time,
    what was found; broken ones are tried again the next time, as permissions or a network's folder may have changed.

    Raises:
        UserError: some are broken, and `on_error` is `raise`; the message names up to ten of them.
    """
    paths = sorted(set(paths))
    record = Path(checked_dir) / f"{manifest(paths)}-{max_pixels}-{FORMAT}.json"
    known: dict[str, Any] = {"broken": range(len(paths))}
    if record.exists():
        known = json.loads(record.read_text())
    problems, looks = _look_at([paths[index] for index in known["broken"]], max_pixels)
    if "duplicates" not in known:  # by number, as paths may be relative to another folder the next time
        numbers = {path: index for index, path in enumerate(paths)}
        known = {
            "broken": [numbers[path] for path in problems],
            "looks": [looks.get(path) for path in paths],
            "duplicates": [[numbers[path] for path in equal] for equal in find_duplicates(paths)],
        }
        try:
            write_atomically(record, json.dumps(known, separators=(",", ":")))
        except OSError as error:  # a full disk, or somebody else's
            log.warning(f"{checked_dir} can't be written ({error.strerror}): images are checked anew in every run")
    looks |= {path: Look(*look) for path, look in zip(paths, known["looks"], strict=True) if look}
    duplicates = [[paths[index] for index in equal] for equal in known["duplicates"]]
    checked = CheckedImages(set(problems), looks, duplicates)
    if not problems:
        return checked
    named = listed(list(problems.values()))
    if on_error == "raise":
        raise UserError(f"{named}: replace or remove what is broken, or leave it out: data.on_error=skip")
    log.warning(f"data.on_error=skip leaves {len(problems):,} broken images out: {named}")
    return checked


def problem_with(error: BrokenImageError) -> str:
    """What is wrong with an image of a data set, and which key it is that it may not be so large."""
    return f"{error} (data.max_pixels)" if isinstance(error, TooLargeError) else str(error)


def leave_out(table: ImageTable, broken: set[str]) -> ImageTable:
    """The table without broken images; raises UserError for a class that loses all of its training images."""
    train, val, test, *folds = table.without(broken)
    lost = {sample.label for sample in table.train} - {sample.label for sample in train}
    if lost:
        names = listed([repr(table.classes[label]) for label in sorted(lost)], MOST)
        raise UserError(f"class {names} has no training image that isn't broken: replace some, or remove its folder")
    left_out = {split: tuple(one for one in table.part(split) if one.path in broken) for split in SPLITS}
    return replace(table, train=train, val=val, test=test, folds=tuple(folds), skipped=len(broken), left_out=left_out)


def find_duplicates(paths: Sequence[str]) -> list[list[str]]:
    """Lists of files that are equal byte for byte; only files of the same size are read."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        candidates = [path for same_size in _equal(paths, pool.map(_size, paths)) for path in same_size]
        return _equal(candidates, pool.map(_digest, candidates))


def warn_of_duplicates(table: ImageTable, duplicates: Sequence[Sequence[str]]) -> None:
    """Name images that are in several splits, or classes; `duplicates` are those that `find_duplicates` found."""
    splits = {sample.path: split for split in SPLITS for sample in table.part(split)}
    labels = {sample.path: table.classes[sample.label] for split in SPLITS for sample in table.part(split)}
    for of_path, what, so in (
        (splits, "split", "what is measured on them is too good"),
        (labels, "class", "all but one of the labels must be wrong"),
    ):
        # Of each image one path for every split, or class, that it is in.
        found = [{of_path[path]: path for path in reversed(equal) if path in of_path} for equal in duplicates]
        shared = [" and ".join(sorted(paths.values())) for paths in found if len(paths) > 1]
        if shared:
            log.warning(
                f"{len(shared):,} images are in more than one {what}, byte for byte, {listed(shared, MOST)}: {so}"
            )


def warn_of_blank_images(table: ImageTable, blank: Sequence[str]) -> None:
    """Warn where nearly all images are almost one colour, as values in another range than the file says are."""
    count = sum(map(len, (table.train, table.val, table.test)))
    if len(blank) >= NEARLY_ALL * count:
        log.warning(
            f"{len(blank):,} of {count:,} images are almost one colour, such as {blank[0]}: do their values fill the "
            "range that the files declare (12 bits in 16 are black)?"
        )


def _look_at(paths: Sequence[str], max_pixels: int) -> tuple[dict[str, str], dict[str, Look]]:
    """What is wrong with each broken image, and how each of the others looks, by path."""

    def look(path: str) -> tuple[str | None, Look | None]:
        try:
            return None, look_at(*read_with_size(path, max_pixels, ENOUGH))
        except BrokenImageError as error:
            return problem_with(error), None

    with ThreadPoolExecutor(usable_cores()) as pool:  # decoding releases the GIL

        def run(*work: Any) -> Iterable[Any]:
            hidden = not Console().is_terminal
            return track(pool.map(*work), "Checking images", total=len(paths), disable=hidden)

        problems, looks = {}, {}
        for path, ((problem, found), warning) in zip(paths, decode_each(look, paths, run), strict=True):
            if problem or warning:
                problems[path] = problem or f"{path} can't be decoded ({warning})"
            else:
                looks[path] = found
        return problems, looks


def _equal(paths: Sequence[str], values: Iterable[Hashable]) -> list[list[str]]:
    """Lists of two or more paths with the same value."""
    found: defaultdict[Hashable, list[str]] = defaultdict(list)
    for path, value in zip(paths, values, strict=True):
        found[value].append(path)
    return [equal for equal in found.values() if len(equal) > 1]


def _size(path: str) -> int | str:
    try:
        return os.stat(path).st_size  # noqa: PTH116 (pathlib takes five times as long)
    except OSError:
        return path  # what can't be read equals nothing else


def _digest(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return path
