"""How a run went: loss and accuracy by epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..run_folder import RunFolder
from .style import BLUE, ORANGE, PlainFigure, names_as_they_are

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
