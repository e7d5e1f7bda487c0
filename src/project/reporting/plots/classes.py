"""How well each class is known."""

import numpy as np
from matplotlib.figure import Figure

from ..numbers import class_scores
from ..run_folder import RunFolder
from .confusion import MOST_CLASSES, draw_pairs
from .style import BLUE, GREEN, ORANGE, PlainFigure, names_as_they_are, shown

WORST = 30  # classes that are drawn where there are more


@names_as_they_are()
def class_f1(run: RunFolder) -> Figure | None:
    """Precision, recall and F1 of each class, the worst first; of many classes, the worst alone."""
    if not len(run.confusions):
        return None
    scores = class_scores(run.confusions, len(run.classes))
    order = np.argsort(scores.f1, kind="stable")
    order = order[scores.support[order] > 0][:WORST]
    names = [f"{shown(run.classes[number])} ({scores.support[number]:,})" for number in order]
    figure = PlainFigure(7.5, 1.1 + 0.28 * len(order))
    axes, rows = figure.subplots(), range(len(order))
    axes.hlines(rows, 0, scores.f1[order], color=BLUE, alpha=0.35, linewidth=5)
    for name, colour, marker in (("precision", ORANGE, "|"), ("recall", GREEN, "|"), ("f1", BLUE, "o")):
        axes.plot(getattr(scores, name)[order], rows, marker, color=colour, markersize=9 if marker == "|" else 6,
                  markeredgewidth=2, label=name.replace("f1", "F1"), clip_on=False)  # fmt: skip
    axes.set_yticks(rows, names)
    axes.set(xlim=(0, 1.0), title=f"{'the worst classes' if len(order) < len(run.classes) else 'classes'}, and images")
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderpad=0)
    return figure


def top_confusions(run: RunFolder) -> Figure | None:
    """The pairs of classes that are confused the most; of many classes, `confusion_matrix` shows them."""
    return (
        draw_pairs(run.confusions, run.classes)
        if 0 < len(run.classes) <= MOST_CLASSES and len(run.confusions)
        else None
    )
