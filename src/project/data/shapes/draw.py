"""The embedded image set: ten shapes on busy backgrounds, drawn so that a first run needs no download."""

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
    final = root / f"shapes-v{_VERSION}-seed{seed}-{'-'.join(map(str, per_class))}"
    if not final.is_dir():
        with atomic_folder(final) as drawn:
            _draw_all(drawn, per_class, seed)
    return final


def _draw_all(folder: Path, per_class: tuple[int, int, int], seed: int) -> None:
    jobs = [
        (split, label, index)
        for split, count in enumerate(per_class)
        for label in range(len(CLASSES))
        for index in range(count)
    ]
    # One after another, at about 4 ms each: threads were measured to gain next to nothing, and fresh
    # processes spend longer on their imports than on the images.
    brief = len(jobs) < 400  # over before a progress bar would be read
    for split, label, index in track(jobs, "Drawing shapes", console=Console(stderr=True), disable=brief):
        path = folder / SPLITS[split] / CLASSES[label] / f"{index:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        paint(OUTLINES[CLASSES[label]], np.random.default_rng([seed, split, label, index])).save(path, quality=90)
