"""What is drawn of a run into its folder."""

from pathlib import Path

from .plots.confusion import confusion_matrix
from .plots.curves import history
from .plots.style import save_png
from .run_folder import RunFolder

FILES = (history, confusion_matrix)  # of the figures, those that are kept as PNG files, too


def draw_plots(run_dir: Path) -> list[Path]:
    """Draw history.png and confusion_matrix.png from what lies in a run's folder; returns what was drawn."""
    run = RunFolder(run_dir)
    figures = {draw.__name__: draw(run) for draw in FILES}
    return [save_png(figure, run_dir / f"{name}.png") for name, figure in figures.items() if figure]
