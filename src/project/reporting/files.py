"""What is drawn of a run into its folder: plots, saliency maps and the report. What goes wrong there is a warning."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.files import short

from .plots.confusion import confusion_matrix
from .plots.curves import history
from .plots.style import save_png
from .report.page import write_report
from .run_folder import RunFolder

if TYPE_CHECKING:
    from ..model.classifier import Classifier

FILES = (history, confusion_matrix)  # of the figures, those that are kept as PNG files, too

log = logging.getLogger(__name__)


def write_all(run_dir: Path, model: "Classifier") -> None:
    """Write the maps of a model's mistakes, the plots, and the report."""
    from .saliency import write_saliency

    for write in (partial(write_saliency, model=model), draw_plots, write_report):
        or_warn(write, run_dir)


def or_warn(write: Callable[[Path], Any], run_dir: Path) -> None:
    """Write something; say in a line what went wrong with it."""
    try:
        write(run_dir)
    except Exception as error:
        what = getattr(write, "__name__", "write_saliency").removeprefix("write_").removeprefix("draw_")
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        log.warning(f"{short(run_dir)} is without its {what}, and whole but for that ({reason})")


def draw_plots(run_dir: Path) -> list[Path]:
    """Draw history.png and confusion_matrix.png from what lies in a run's folder; returns what was drawn."""
    run = RunFolder(run_dir)
    figures = {draw.__name__: draw(run) for draw in FILES}
    return [save_png(figure, run_dir / f"{name}.png") for name, figure in figures.items() if figure]
