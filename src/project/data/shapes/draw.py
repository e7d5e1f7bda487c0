"""The embedded image set: ten shapes on busy backgrounds, drawn so that a first run needs no download."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from headstart.errors import UserError
from headstart.files import atomic_folder

from .outlines import OUTLINES
from .painting import paint

CLASSES = tuple(OUTLINES)
SPLITS = ("train", "val", "test")

_VERSION = 1  # part of the folder's name: raise it whenever the images change

Job = tuple[Path, str, list[int]]  # where to, of which class, and the numbers that seed the image


def draw_shapes(root: Path, per_class: tuple[int, int, int] = (70, 20, 30), seed: int = 0) -> Path:
    """Draw the set below `root`, unless it is there, and return its folder: `<split>/<class>/<index>.jpg`.

    `per_class` counts the images of each class in train, val and test. An image depends on (seed, split,
    class, index) alone, so a larger set of the same seed contains the smaller one. The folder appears whole
    or not at all, also when the drawing is killed or several processes draw at once.

    Raises `UserError` for a count below one or a negative seed.
    """
    if len(per_class) != 3 or min(per_class) < 1:
        raise UserError(f"per_class={per_class}: give three counts of at least 1, for train, val and test")
    if seed < 0:
        raise UserError(f"seed={seed}: give a whole number from 0 up")
    name = f"shapes-v{_VERSION}-seed{seed}-" + "-".join(map(str, per_class))
    final = Path(root) / name
    if not final.is_dir():
        with atomic_folder(final) as drawn:
            _draw_all(list(_jobs(drawn, per_class, seed)))
    return final


def _jobs(folder: Path, per_class: tuple[int, int, int], seed: int) -> Iterator[Job]:
    for split, (split_name, count) in enumerate(zip(SPLITS, per_class, strict=True)):
        for label, class_name in enumerate(CLASSES):
            for index in range(count):
                path = folder / split_name / class_name / f"{index:04d}.jpg"
                yield path, class_name, [seed, split, label, index]


def _draw_all(jobs: list[Job]) -> None:
    for parent in {path.parent for path, _, _ in jobs}:
        parent.mkdir(parents=True)
    # One after another, at about 4 ms each: threads were measured to gain next to nothing, and fresh
    # processes spend longer on their imports than on the images.
    brief = len(jobs) < 400  # over before a progress bar would be read
    console = Console(stderr=True)
    for path, class_name, entropy in track(jobs, "Drawing shapes", console=console, disable=brief):
        paint(OUTLINES[class_name], np.random.default_rng(entropy)).save(path, quality=90)
