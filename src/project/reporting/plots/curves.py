"""How a run went: loss and accuracy by epoch."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..run_folder import RunFolder
from .style import BLUE, ORANGE, PlainFigure, names_as_they_are, shown

Rows = Sequence[Mapping[str, float]]
SPLITS = {"train": ORANGE, "val": BLUE}


def history(run: RunFolder) -> Figure | None:
    """Loss and accuracy by epoch, for training and validation."""
    return draw_history(run.history) if run.history else None


@names_as_they_are()
def draw_history(rows: Rows) -> Figure:
    """The same for the rows of a `metrics.csv`."""
    figure = PlainFigure(9, 3.2)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, colour in SPLITS.items():
            points = [(row["epoch"] + 1, row[f"{split}/{name}"]) for row in rows if f"{split}/{name}" in row]
            x, y = zip(*points, strict=True) if points else ((), ())
            axes.plot(x, y, marker="o", markersize=3, color=colour, label=split)
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.grid(visible=True)
        axes.legend()
    return figure


@names_as_they_are()
def draw_over_each_other(histories: Mapping[str, Rows], names: Sequence[str]) -> Figure | None:
    """The metrics with these names of several runs, each with its colour."""
    known = [name for name in names if any(name in row for rows in histories.values() for row in rows)]
    if not known:
        return None
    lines = -(-len(known) // 2)
    figure = PlainFigure(9, 0.6 + 2.9 * lines)
    colours = colormaps["turbo"](np.linspace(0.1, 0.9, len(histories)))
    for place, name in enumerate(known, start=1):
        axes = figure.add_subplot(lines, 2, place)
        for (label, rows), colour in zip(histories.items(), colours, strict=True):
            points = [(row["epoch"] + 1, row[name]) for row in rows if name in row]
            x, y = zip(*points, strict=True) if points else ((), ())
            axes.plot(x, y, marker="o", markersize=2.5, color=colour, label=shown(label))
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.grid(visible=True)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=min(3, len(histories)))
    return figure
