"""What the probabilities are worth: whether they hold, and how well they tell classes apart."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import numbers
from ..numbers import Curve
from ..run_folder import RunFolder
from .confusion import MOST_CLASSES
from .style import BLUE, FOREGROUND, GREY, PlainFigure, names_as_they_are, shown

NAMED = 10  # classes with a line of their own colour
POINTS = 200  # of a line, at most
COLOURS = ("#e07b39", "#3a9d6e", "#d1495b", "#8f6bd1", "#b58900", "#2aa7b8", "#c4569b", "#7a8b3c", "#a0623d", "#6b7fd1")


@names_as_they_are()
def reliability(run: RunFolder) -> Figure | None:
    """How often predictions of a probability are right, with the expected calibration error."""
    if run.split is None:
        return None
    found = run.splits[run.split]
    bins = numbers.reliability(found.probability, found.right)
    figure = PlainFigure(9, 3.6)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    left.plot(bins.confidence, bins.accuracy, color=BLUE, linewidth=1)
    left.scatter(bins.confidence, bins.accuracy, 10 + 150 * bins.images / bins.images.max(), color=BLUE)
    left.set(title=f"calibration error (ECE) {bins.ece:.3f}", xlabel="probability", ylabel="fraction that is right")
    left.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    edges = np.linspace(0, 1, numbers.BINS + 1)
    groups = [found.probability[found.right], found.probability[~found.right]]
    right.hist(groups, edges, stacked=True, color=[BLUE, COLOURS[0]], label=["right", "wrong"])
    right.set(title=f"{run.split} images by probability", xlabel="probability", xlim=(0, 1))
    right.legend(loc="upper left")
    return figure


def roc_curves(run: RunFolder) -> Figure | None:
    """ROC of each class against all others, and their mean; None for many classes."""
    return _curves(run, numbers.roc, "ROC", "false positive rate", "true positive rate", "AUC")


def precision_recall_curves(run: RunFolder) -> Figure | None:
    """Precision by recall of each class against all others, and their mean; None for many classes."""
    return _curves(run, numbers.precision_recall, "precision and recall", "recall", "precision", "AP")


@names_as_they_are()
def _curves(run: RunFolder, of: Callable[..., Curve], title: str, x: str, y: str, area: str) -> Figure | None:
    if run.split is None or len(run.classes) > MOST_CLASSES:
        return None
    labels, probabilities = run.splits[run.split].labels, run.probabilities(run.split)
    known = [number for number in range(len(run.classes)) if 0 < (labels == number).sum() < len(labels)]
    curves = {number: of(probabilities[:, number], labels == number) for number in known}
    if not curves:
        return None
    figure = PlainFigure(7.5, 3.8)
    axes = figure.subplots()
    for place, (number, curve) in enumerate(curves.items()):
        if len(curves) > NAMED:
            _draw(axes, curve, color=GREY, alpha=0.4, linewidth=0.8)
        else:
            _draw(
                axes,
                curve,
                color=COLOURS[place],
                linewidth=1.2,
                label=f"{shown(run.classes[number], 28)} {curve.area:.3f}",
            )
    mean = numbers.mean_curve(list(curves.values()))
    _draw(axes, mean, color=FOREGROUND, linewidth=2, label=f"mean {mean.area:.3f}")
    axes.set(title=f"{title}, each class against the others: {area} {mean.area:.3f}", xlabel=x, ylabel=y)
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.grid(visible=True)
    return figure


def _draw(axes: Axes, curve: Curve, label: str = "", **options: float | str) -> None:
    """A line of `POINTS` points at most."""
    rows = np.unique(np.linspace(0, len(curve.x) - 1, POINTS).astype(int))
    axes.plot(curve.x[rows], curve.y[rows], label=label or "_", **options)  # pyright: ignore[reportArgumentType]
