"""What a run leaves behind when it has ended, and what it says last: `results.json`, plots and a table."""

import json
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.table import Table
from torch import Tensor

from headstart.errors import UserError, explain
from headstart.files import short, write_atomically
from headstart.fit import Fitted
from headstart.limits import table_of
from headstart.machine import terminal
from headstart.predictions import Predictions
from headstart.resume.environment import hide
from headstart.runs import read_results

from ..model.classifier import Classifier
from ..model.metrics import direction
from .facts import git_commit, hardware, images_of, versions
from .predictions import write_predictions
from .run_folder import RunFolder

DENSE = 1000  # classes whose whole confusion matrix is kept
NUMBERS = re.compile(r"\[\n([\d,\s]+)\]")


@rank_zero_only
def write_results(run_dir: str | Path, score: float, fitted: Fitted, model: Classifier, command: str) -> None:
    """Write results.json and predictions.parquet: all that is known of a run once its best checkpoint was measured.

    The confusion matrix counts test images, [true class][predicted class]; null where there are none.
    """
    run_dir, best = Path(run_dir), Path(fitted.best_checkpoint) if fitted.best_checkpoint else None
    if best and best.is_relative_to(run_dir):
        best = best.relative_to(run_dir)  # the folder may be moved or copied
    test, known = fitted.predictions.get("test"), {**vars(fitted)}
    del known["predictions"], known["status"]
    content = {
        "status": fitted.status,
        "score": score,
        "monitor": model.monitor,
        "best": direction(model.monitor),
        **known,
        "best_checkpoint": str(best) if best else None,
        **(confusions(test, len(model.classes)) if test else {"confusion_matrix": None}),
        "classes": list(model.classes),
        **images_of(table_of(model.trainer.datamodule)),  # pyright: ignore[reportAttributeAccessIssue]
        "hardware": hardware(model.trainer),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": command,
    }
    _write(run_dir, content)
    write_predictions(run_dir, fitted.predictions, model.classes)


@rank_zero_only
def write_report(run_dir: str | Path, model: Classifier) -> None:
    """Write the run's plots and its report."""
    from .files import write_all  # a second of imports that the jobs of a sweep don't need

    write_all(Path(run_dir), model)


@rank_zero_only
def print_results(run_dir: str | Path, metrics: dict[str, float]) -> None:
    """Print the metrics, and where everything is."""
    split = "test" if "test/accuracy" in metrics else "val"
    print_metrics(metrics)
    line = f"{short(run_dir)}: {split} accuracy {metrics[f'{split}/accuracy']:.4f}"
    terminal(soft_wrap=True).print(line)  # never wrapped, so that it can be copied


def confusions(found: Predictions, num_classes: int) -> dict[str, list[list[int]]]:
    """The `confusion_matrix`, images by [true class][predicted class].

    Of more than `DENSE` classes its entries above 0 take its place: `confusions`, as [true, predicted, images].
    """
    codes, images = (found.labels * num_classes + found.predicted).unique(return_counts=True)
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


def write_interrupted(run_dir: str | Path, signum: int, epoch: int, step: int, command: str, with_report: bool) -> None:
    """Write which signal ended the run, and after how many whole epochs and steps."""
    name = signal.Signals(signum).name
    _write(run_dir, {"status": "interrupted", "signal": name, "epoch": epoch, "step": step, "command": command})
    if with_report:
        _write_page(run_dir)


@rank_zero_only
def write_failed(run_dir: str | Path, error: BaseException, command: str, with_report: bool) -> None:
    """Write what ended the run, and a report of what there is; what was typed to go on with it is no end of it."""
    mistake, before = explain(error), read_results(run_dir).get("status")
    if before in ("finished", "pruned") or (before == "interrupted" and mistake):
        return
    said = mistake or f"{type(error).__name__}: {error}"
    with suppress(OSError):  # such as a full disk: the error itself must be seen
        _write(run_dir, {"status": "failed", "error": hide(said), "command": command})
        if with_report:
            _write_page(run_dir)


def finished_score(run_dir: str | Path, command: str) -> float | None:
    """The score of a run that has ended; None for any other. Raises UserError when it was another command's."""
    content = read_results(run_dir)
    if content.get("status") not in ("finished", "pruned"):
        return None
    if content["command"] != command:
        raise UserError(
            f"{run_dir} is of another job ({content['command']}): hydra.sweep.subdir has to tell all jobs apart, and a "
            "sweep is resumed with the overrides it had"
        )
    return content["score"]


def _write_page(run_dir: str | Path) -> None:
    from .files import or_warn, write_report  # a second of imports, and no way out of an error

    or_warn(write_report, RunFolder(run_dir))


def _write(run_dir: str | Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2) + "\n"
    rows = NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)  # a row of the matrix in a line
    write_atomically(Path(run_dir) / "results.json", rows)
