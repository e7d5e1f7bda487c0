"""The figures of a run, drawn from what lies in its folder; in the report, in every logger, and as files."""

from collections.abc import Callable

from matplotlib.figure import Figure

from .plots.confusion import confusion_matrix
from .plots.curves import history
from .run_folder import RunFolder

# Yours to edit: a function's name is the figure's in loggers and files. None is returned where nothing is to be drawn.
FIGURES: list[Callable[[RunFolder], Figure | None]] = [history, confusion_matrix]
