"""The images that say the most about a model: grids of them, with their true and their predicted class."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from headstart.images.thumbnails import thumbnail

from ..run_folder import RunFolder, Split
from .style import FOREGROUND, GREEN, RED, PlainFigure, names_as_they_are, shown

SHOWN, COLUMNS = 12, 6


def confident_mistakes(run: RunFolder) -> Figure | None:
    """The wrong predictions of the highest probability."""
    return _grid(run, most_confident_mistakes, "confident, and wrong")


def least_certain(run: RunFolder) -> Figure | None:
    """The predictions of the lowest probability."""
    return _grid(run, least_certain_rows, "the least certain")


def best_images(run: RunFolder) -> Figure | None:
    """The right predictions of the highest probability: one of each class, then another."""
    return _grid(run, best_rows, "right, and certain")


def most_confident_mistakes(split: Split, most: int = SHOWN) -> NDArray[np.int64]:
    """The rows of a split's predictions that are wrong, the most confident first."""
    wrong = np.flatnonzero(~split.right)
    return wrong[np.argsort(-split.probability[wrong], kind="stable")][:most]


def least_certain_rows(split: Split, most: int = SHOWN) -> NDArray[np.int64]:
    """The rows of a split's predictions of the lowest probability, the lowest first."""
    return np.argsort(split.probability, kind="stable")[:most]


def best_rows(split: Split, most: int = SHOWN) -> NDArray[np.int64]:
    """The rows that are right, the most confident of every class first, then the second of every class, ..."""
    right = np.flatnonzero(split.right)
    right = right[np.argsort(-split.probability[right], kind="stable")]
    seen: dict[int, int] = {}
    turns = [seen.update({label: seen.get(label, -1) + 1}) or seen[label] for label in split.labels[right].tolist()]
    return right[np.argsort(turns, kind="stable")][:most]


@names_as_they_are()
def _grid(run: RunFolder, rows_of: Callable[[Split], NDArray[np.int64]], title: str) -> Figure | None:
    if run.split is None:
        return None
    split = run.splits[run.split]
    images = {row: thumbnail(str(split.paths[row]), 128) for row in rows_of(split).tolist()}
    images = {row: image for row, image in images.items() if image}
    if not images:
        return None
    lines = -(-len(images) // COLUMNS)
    figure = PlainFigure(9, 0.4 + 1.95 * lines)
    figure.suptitle(f"{run.split} images: {title}", x=0.01, ha="left", weight="bold", fontsize=11)
    for place, (row, image) in enumerate(images.items(), start=1):
        axes = figure.add_subplot(lines, COLUMNS, place)
        axes.imshow(image)
        axes.set_axis_off()
        true, guess = (shown(run.classes[number], 18) for number in (split.labels[row], split.predicted[row]))
        colour = GREEN if split.right[row] else RED
        axes.set_title(f"{guess} {split.probability[row]:.2f}", color=colour, fontsize=8, loc="center", weight="normal")
        axes.text(
            0.5, -0.03, f"is {true}", transform=axes.transAxes, ha="center", va="top", fontsize=8, color=FOREGROUND
        )
    return figure
