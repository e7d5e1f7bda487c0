"""What a run leaves behind when it has ended, and its last words."""

from pathlib import Path

from headstart.fit import Result
from headstart.tracking.history import read_history

from .plots import plot_confusion_matrix, plot_history
from .results import write_results
from .tables import print_metrics, print_outcome


def report(run_dir: Path, result: Result, classes: tuple[str, ...], command: str, found: dict[str, float]) -> None:
    """Write results.json and the plots to `run_dir`, and print the table and the last line."""
    write_results(run_dir, result, classes, command, found)
    plot_history(read_history(run_dir / "metrics.csv"), run_dir / "history.png")
    plot_confusion_matrix(result.confusion_matrix, classes, run_dir / "confusion_matrix.png")
    print_metrics(result.metrics)
    print_outcome(run_dir, result.metrics["test/accuracy"])
