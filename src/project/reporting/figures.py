"""The figures of a run, drawn from what lies in its folder: in every logger, in the report, and as files."""

from collections.abc import Callable

from matplotlib.figure import Figure

from .plots.classes import class_f1, top_confusions
from .plots.confusion import confusion_matrix
from .plots.curves import history
from .plots.images import best_images, confident_mistakes, least_certain
from .plots.probability import precision_recall_curves, reliability, roc_curves
from .run_folder import RunFolder

# Yours to edit: a function's name is the figure's in loggers and files. It returns None where nothing is to be drawn.
FIGURES: list[Callable[[RunFolder], Figure | None]] = [
    history,
    confusion_matrix,
    class_f1,
    top_confusions,
    reliability,
    roc_curves,
    precision_recall_curves,
    confident_mistakes,
    least_certain,
    best_images,
]
