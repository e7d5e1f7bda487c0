"""The last lines of a run."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from headstart.files import short


def print_metrics(metrics: dict[str, float]) -> None:
    """Print a table with a row for each metric and a column for each split."""
    splits = sorted({name.split("/")[0] for name in metrics}, key=("train", "val", "test").index)
    names = dict.fromkeys(name.split("/")[1] for name in metrics)
    table = Table("", *splits)
    for name in names:
        values = [metrics.get(f"{split}/{name}") for split in splits]
        table.add_row(name.replace("_", " "), *("" if value is None else f"{value:.4f}" for value in values))
    Console().print(table)


def print_outcome(run_dir: str | Path, test_accuracy: float) -> None:
    """Print the last line: where everything is, and how good it is. It is never wrapped, so that it can be copied."""
    Console(soft_wrap=True).print(f"{short(run_dir)}: test accuracy {test_accuracy:.4f}", highlight=False)
