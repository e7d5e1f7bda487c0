"""What a run leaves behind when it has ended, and what it says last."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from headstart.files import short
from headstart.fit import Fitted

from ..model.classifier import Classifier
from .results import write_results


def report(run_dir: Path, score: float, fitted: Fitted, model: Classifier, command: str, with_plots: bool) -> None:
    """Write results.json and, unless it is one of many, the plots; print the metrics, and where everything is.

    To be called in every process, as each of several devices has counted its own test images; the first one reports.
    """
    confusion_matrix = model.confusion_matrix.compute().tolist()
    if not model.trainer.is_global_zero:
        return
    write_results(run_dir, score, fitted, model, confusion_matrix, command)
    if with_plots:
        from .plots import draw_plots  # a second of imports that the jobs of a sweep don't need

        draw_plots(run_dir)
    print_metrics(fitted.metrics)
    line = f"{short(run_dir)}: test accuracy {fitted.metrics['test/accuracy']:.4f}"
    Console(soft_wrap=True).print(line, markup=False, highlight=False)  # never wrapped, so that it can be copied


def print_metrics(metrics: dict[str, float]) -> None:
    """Print a table with a row for each metric and a column for each split."""
    splits = sorted({name.split("/")[0] for name in metrics}, key=("train", "val", "test").index)
    table = Table("", *splits)
    for name in dict.fromkeys(name.split("/")[1] for name in metrics):
        values = [metrics.get(f"{split}/{name}") for split in splits]
        table.add_row(name.replace("_", " "), *("" if value is None else f"{value:.4f}" for value in values))
    Console(markup=False).print(table)
