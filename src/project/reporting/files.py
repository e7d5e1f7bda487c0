"""What is drawn of a run into its folder: plots, saliency maps and the report. What goes wrong there is a warning."""

import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.files import short

from .figures import FIGURES
from .plots.confusion import confusion_matrix
from .plots.curves import history
from .plots.style import save_png
from .report.page import write_report
from .run_folder import RunFolder

if TYPE_CHECKING:
    from ..model.classifier import Classifier

FIRST = (history, confusion_matrix)  # of the figures, those that lie beside results.json, too

log = logging.getLogger(__name__)


def write_all(run_dir: Path, model: "Classifier") -> None:
    """Write the maps of a model's mistakes, the plots, and the report."""
    from .saliency import write_saliency

    run = RunFolder(run_dir)
    for write in (partial(write_saliency, model=model), draw_plots, write_report):
        or_warn(write, run)


def or_warn(write: Callable[[RunFolder], Any], run: RunFolder) -> None:
    """Write something; say in a line what went wrong with it."""
    try:
        write(run)
    except Exception as error:
        what = getattr(write, "__name__", "write_saliency").removeprefix("write_").removeprefix("draw_")
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        log.warning(f"{short(run.path)} is without its {what}, and whole but for that ({reason})")


def draw_plots(run: RunFolder) -> list[Path]:
    """Draw the figures of a run into its `plots/`, the first of them into its folder, too; returns those two."""
    folder, first = run.path / "plots", []
    folder.mkdir(exist_ok=True)
    for draw in FIGURES:
        if figure := run.figure(draw):
            path = save_png(figure, folder / f"{draw.__name__}.png")
            first += [shutil.copyfile(path, run.path / path.name)] if draw in FIRST else []
    return first
