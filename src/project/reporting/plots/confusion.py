"""Which classes are taken for which: a matrix of a few classes, the pairs that are confused the most of many."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..run_folder import RunFolder
from .style import BLUE, FOREGROUND, SHADES, PlainFigure, names_as_they_are, shown

MOST_CLASSES = 50  # of a matrix that can be read
SHARES = 20  # classes up to which every cell has room for its share, too
PAIRS = 20


def confusion_matrix(run: RunFolder) -> Figure | None:
    """Images by true and predicted class; above `MOST_CLASSES` classes, the pairs that are confused the most."""
    if not len(run.confusions):
        return None
    if len(run.classes) > MOST_CLASSES:
        return draw_pairs(run.confusions, run.classes)
    counts = np.zeros((len(run.classes),) * 2, dtype=np.int64)
    counts[run.confusions[:, 0], run.confusions[:, 1]] = run.confusions[:, 2]
    return draw_matrix(counts, run.classes, run.split or "test")


@names_as_they_are()
def draw_matrix(counts: ArrayLike, classes: Sequence[str], split: str = "test") -> Figure:
    """The matrix of `counts` [classes, classes]: in each cell images, shaded by their share of the row."""
    counts, names = np.asarray(counts), [shown(name) for name in classes]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.5 + 0.5 * len(names) + 0.09 * max(map(len, names))  # inches
    figure = PlainFigure(side, side)
    axes = figure.subplots()
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1)
    axes.set(title=f"{split} images, and their share of the row", xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    for row, column in np.argwhere(counts):
        share = shares[row, column]
        text = f"{counts[row, column]}\n{share:.0%}" if len(names) <= SHARES else str(counts[row, column])
        colour = "white" if share > 0.6 else FOREGROUND
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    return figure


@names_as_they_are()
def draw_pairs(cells: ArrayLike, classes: Sequence[str]) -> Figure:
    """The `PAIRS` pairs of classes that are confused the most, of rows [true, predicted, images]."""
    pairs = most_confused(cells)[:PAIRS]
    figure = PlainFigure(7.5, 1 + 0.28 * max(len(pairs), 1))
    axes = figure.subplots()
    named = [[shown(classes[int(number)], 24) for number in pair[:2]] for pair in pairs]
    names = [" taken for ".join(pair) for pair in named]
    bars = axes.barh(range(len(pairs)), pairs[:, 2], color=BLUE)
    axes.bar_label(bars, padding=3)
    axes.set_yticks(range(len(pairs)), names)
    axes.invert_yaxis()
    axes.set(title="pairs that are confused the most, in images" if len(pairs) else "no image is confused", xticks=[])
    axes.spines["bottom"].set_visible(False)
    return figure


def most_confused(cells: ArrayLike) -> NDArray[np.int64]:
    """Of rows [true, predicted, images], those of two classes, the most images first."""
    cells = np.asarray(cells)
    wrong = cells[cells[:, 0] != cells[:, 1]]
    return wrong[np.argsort(-wrong[:, 2], kind="stable")]
