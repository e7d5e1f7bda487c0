"""What a run leaves behind when it has ended, and what it says last: `results.json`, plots and a table."""

import json
import platform
import re
import signal
import subprocess
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from headstart import __version__
from headstart.errors import UserError
from headstart.files import short, write_atomically
from headstart.fit import Fitted
from headstart.machine import terminal
from headstart.tracking.history import read_history

from ..model.classifier import Classifier

PACKAGES = ("torch", "torchvision", "lightning", "timm", "torchmetrics", "hydra-core")
DENSE = 1000  # classes whose whole confusion matrix is kept
NUMBERS = re.compile(r"\[\n([\d,\s]+)\]")


def report(run_dir: Path, score: float, fitted: Fitted, model: Classifier, command: str, with_plots: bool) -> None:
    """Write results.json and, unless it is one of many, the plots; print the metrics, and where everything is.

    To be called in every process, as each of several devices has counted its own test images; the first one reports.
    The confusion matrix counts test images, [true class][predicted class]; null where there are none.
    """
    split = "test" if "test/accuracy" in fitted.metrics else "val"
    outcomes = model.outcomes.compute() if split == "test" else None
    if not model.trainer.is_global_zero:
        return
    best = Path(fitted.best_checkpoint) if fitted.best_checkpoint else None
    if best and best.is_relative_to(run_dir):
        best = best.relative_to(run_dir)  # the folder may be moved or copied
    content = {
        "status": "finished",
        "score": score,
        "monitor": model.monitor,
        **asdict(fitted),
        "best_checkpoint": str(best) if best else None,
        **(confusions(outcomes, len(model.classes)) if outcomes is not None else {"confusion_matrix": None}),
        "classes": list(model.classes),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": command,
    }
    _write(run_dir, content)
    if with_plots:
        draw_plots(run_dir)
    print_metrics(fitted.metrics)
    line = f"{short(run_dir)}: {split} accuracy {fitted.metrics[f'{split}/accuracy']:.4f}"
    terminal(soft_wrap=True).print(line)  # never wrapped, so that it can be copied


def draw_plots(run_dir: Path) -> list[Path]:
    """Draw history.png and confusion_matrix.png from what lies in a run's folder; returns what was drawn."""
    from .plots import plot_confusion_matrix, plot_history  # a second of imports that the jobs of a sweep don't need

    drawn, results = [], read_results(run_dir)
    if rows := read_history(run_dir / "metrics.csv"):
        drawn.append(plot_history(rows, run_dir / "history.png"))
    counts, classes = results.get("confusion_matrix"), results.get("classes", [])
    if cells := results.get("confusions"):
        counts = _matrix(torch.tensor(cells), len(classes))
    if counts is not None:
        drawn.append(plot_confusion_matrix(counts, classes, run_dir / "confusion_matrix.png"))
    return drawn


def confusions(outcomes: Tensor, num_classes: int) -> dict[str, list[list[int]]]:
    """The `confusion_matrix`, images by [true class][predicted class], of the labels and predictions [images, 2].

    Of more than `DENSE` classes its entries above 0 take its place: `confusions`, as [true, predicted, images].
    """
    codes, images = (outcomes[:, 0] * num_classes + outcomes[:, 1]).cpu().unique(return_counts=True)
    cells = torch.stack([codes // num_classes, codes % num_classes, images], dim=1)
    if num_classes > DENSE:
        return {"confusions": cells.tolist()}
    return {"confusion_matrix": _matrix(cells, num_classes).tolist()}


def _matrix(cells: Tensor, num_classes: int) -> Tensor:
    true, predicted, images = cells.T
    return torch.zeros(num_classes, num_classes, dtype=torch.int64).index_put((true, predicted), images)


def print_metrics(metrics: dict[str, float]) -> None:
    """Print a table with a row for each metric and a column for each split."""
    splits = sorted({name.split("/")[0] for name in metrics}, key=("train", "val", "test").index)
    table = Table("", *splits)
    for name in dict.fromkeys(name.split("/")[1] for name in metrics):
        values = [metrics.get(f"{split}/{name}") for split in splits]
        table.add_row(name.replace("_", " "), *("" if value is None else f"{value:.4f}" for value in values))
    terminal().print(table)


@cache
def versions() -> dict[str, str]:
    """Those of Python and of the packages that decide what comes out."""
    own = {"python": platform.python_version(), "headstart": __version__}
    return own | {name: version(name) for name in PACKAGES}


def write_interrupted(run_dir: str | Path, signum: int, epoch: int, step: int, command: str) -> None:
    """Write which signal ended the run, and after how many whole epochs and steps."""
    name = signal.Signals(signum).name
    _write(run_dir, {"status": "interrupted", "signal": name, "epoch": epoch, "step": step, "command": command})


def read_results(run_dir: str | Path) -> dict[str, Any]:
    """What stands in a run's `results.json`; nothing where there is no whole one."""
    try:
        return json.loads((Path(run_dir) / "results.json").read_text())
    except (OSError, ValueError):
        return {}


def finished_score(run_dir: str | Path, command: str) -> float | None:
    """The score of a run that has ended; None for any other. Raises UserError when it was another command's."""
    content = read_results(run_dir)
    if content.get("status") != "finished":
        return None
    if content["command"] != command:
        raise UserError(
            f"{run_dir} is of another job ({content['command']}): hydra.sweep.subdir has to tell all jobs apart, and a "
            "sweep is resumed with the overrides it had"
        )
    return content["score"]


def _write(run_dir: str | Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2) + "\n"
    rows = NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)  # a row of the matrix in a line
    write_atomically(Path(run_dir) / "results.json", rows)


@cache  # the jobs of a sweep run the same code
def git_commit() -> str | None:
    """The commit that is checked out here, with `-dirty` after it when files differ; None outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
