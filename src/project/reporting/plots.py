"""Plots of a run, as PNG files that need nothing but an image viewer."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure  # without pyplot: no window system, no global state, nothing to close
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

NAMED, CELLS = 40, 500  # classes whose names and numbers can be read in a plot; rows and columns at most
LONGEST = 40  # characters of a class name


def plot_history(rows: list[dict[str, float]], path: Path) -> Path:
    """Draw loss and accuracy by epoch, for training and validation, from the rows of a `metrics.csv`."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split in ("train", "val"):
            points = [(row["epoch"] + 1, row[f"{split}/{name}"]) for row in rows if f"{split}/{name}" in row]
            axes.plot(*(zip(*points, strict=True) if points else ([], [])), marker="o", markersize=3, label=split)
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=100)
    return path


def plot_confusion_matrix(counts: ArrayLike, classes: Sequence[str], path: Path) -> Path:
    """Draw test images by true class (rows) and predicted class (columns), shaded by their fraction of the row.

    `counts` are [classes, classes]. Of many classes, neighbours are put together, and only some are named.
    """
    together, step = -(-len(classes) // CELLS), -(-len(classes) // NAMED)
    counts, firsts = np.asarray(counts), range(0, len(classes), together)
    counts = np.add.reduceat(np.add.reduceat(counts, firsts, axis=0), firsts, axis=1)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    named = range(0, len(classes), step)
    names = [shown(classes[number]) for number in named]
    with names_as_they_are():
        side = 1.5 + 0.45 * len(names) + 0.09 * max(map(len, names))  # inches
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
        unit = f", {together} classes in each row and column" if together > 1 else ""
        axes.set(title=f"test images{unit}", xlabel="predicted", ylabel="true")
        ticks = np.asarray(named) // together
        axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(ticks, names)
        for row, column in np.argwhere(counts) if step == 1 else ():
            shade = "white" if fractions[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade, fontsize=9)
        figure.savefig(path, dpi=100)
    return path


def shown(name: str) -> str:
    """A class name in one line of `LONGEST` characters at most, without what can't be drawn."""
    name = " ".join(name.encode(errors="replace").decode().split())
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2 - 1]}…{name[-LONGEST // 2 :]}"


@contextmanager
def names_as_they_are() -> Iterator[None]:
    """Let matplotlib take no `$` in a name for mathematics, no `%` for TeX, and say nothing of a missing glyph."""
    with mpl.rc_context({"text.parse_math": False, "text.usetex": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
