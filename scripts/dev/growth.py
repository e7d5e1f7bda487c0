"""How a head's cost grows: `python scripts/dev/growth.py [--rows 1000 10000 ...] [--classes 10 100] [--limit 120]`.

Seconds of an epoch, and the memory beside the memory-mapped features, of both solvers and of scikit-learn's
LogisticRegression, on synthetic features of 1,280 columns (5 GB for a million rows, in a temporary folder). An epoch is
10 iterations of L-BFGS with one penalty, also of scikit-learn, or one pass of AdamW in batches of 256; a run of
solver=lbfgs takes 20 epochs at most. Each is measured in a process of its own, which is ended after `--limit` seconds.
"""

import argparse
import json
import logging
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import torch
from torch import Tensor, nn

from headstart.backbone import Backbone, Preprocessing
from headstart.features.cache import FullBatch, InOrder, Shuffled
from headstart.features.file import read_features, write_rows
from headstart.images.order import Order
from headstart.machine import terminal
from project.model.classifier import Classifier
from project.model.heads import linear
from project.model.logistic_regression import LogisticRegression

COLUMNS, SPREAD, CHUNK = 1280, 3.0, 8192
PENALTY, ITERATIONS, BATCH = 1e-2, 10, 256
ROW = "| {:>9} | {:>7} | {:>18} | {:>18} | {:>18} |"
PREPROCESSING = Preprocessing(224, 224, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def main() -> None:
    """Print the table, or measure one of its cells for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--limit", type=float, default=120, help="seconds for one figure")
    parser.add_argument("--one", nargs=4, metavar=("SOLVER", "FILE", "ROWS", "CLASSES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        solver, file, rows, classes = arguments.one
        sys.stdout.write(json.dumps(measured(SOLVERS[solver], Path(file), int(rows), int(classes))) + "\n")
        return
    say = terminal(soft_wrap=True).print
    with tempfile.TemporaryDirectory(prefix="headstart-growth-") as folder:
        file = Path(folder) / "features.safetensors"
        write_rows(file, (max(arguments.rows), COLUMNS), 0, synthetic(max(arguments.rows)), {})
        say(ROW.format("images", "classes", *(f"{solver}: s, MB" for solver in SOLVERS)))
        for classes in arguments.classes:
            for rows in arguments.rows:
                figures = [in_a_process(solver, file, rows, classes, arguments.limit) for solver in SOLVERS]
                say(ROW.format(f"{rows:,}", f"{classes:,}", *figures))


def synthetic(rows: int, classes: int = 1000) -> Iterator[Tensor]:
    """Features [CHUNK, COLUMNS] like those behind a ReLU; row `i` is of class `i` modulo any divisor of `classes`."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(classes, COLUMNS, generator=generator)
    for first in range(0, rows, CHUNK):
        labels = torch.arange(first, min(first + CHUNK, rows)) % classes
        yield (centres[labels] + SPREAD * torch.randn(len(labels), COLUMNS, generator=generator)).relu()


def in_a_process(solver: str, file: Path, rows: int, classes: int, limit: float) -> str:
    """Seconds and megabytes as a cell of the table."""
    command = [sys.executable, __file__, "--one", solver, str(file), str(rows), str(classes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return f"> {limit:.0f}"
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return f"{seconds:,.2f}, {megabytes:,.0f}"


def measured(fit: Callable[[Tensor, Tensor], float], file: Path, rows: int, classes: int) -> tuple[float, float]:
    """Seconds of an epoch, and the most megabytes that were taken for it, beside the file's own pages."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    features, labels = read_features(file)[:rows], torch.arange(rows) % classes
    features.sum()  # read from the disk before the watch starts
    before, peak, done = anonymous_memory(), [0], Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak.append(max(peak.pop(), anonymous_memory()))

    watcher = Thread(target=watch)
    watcher.start()
    seconds = fit(features, labels)
    done.set()
    watcher.join()
    return seconds, (max(peak[0], before) - before) / 1000


def anonymous_memory() -> int:
    """Kilobytes of this process that are no file's; Linux alone tells."""
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def lbfgs(features: Tensor, labels: Tensor) -> float:
    """Seconds of an epoch of solver=lbfgs, by Lightning."""
    backbone, _, classes = parts(labels)
    head = partial(linear, norm="none")  # as solver=lbfgs has it, which scales features by itself
    model = LogisticRegression(backbone, head, classes, strongest=PENALTY, weakest=PENALTY, max_iter=ITERATIONS)
    return seconds_of_an_epoch(model, FullBatch([features], labels))


def adamw(features: Tensor, labels: Tensor) -> float:
    """Seconds of an epoch of solver=adamw, by Lightning."""
    batches = Shuffled([features], labels, Order(len(labels), BATCH), lambda: (0, 0))
    return seconds_of_an_epoch(Classifier(*parts(labels)), batches)


def sklearn(features: Tensor, labels: Tensor) -> float:
    """Seconds of as many iterations of scikit-learn's L-BFGS; it sums the losses where we take their mean."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression as TheirRegression

    warnings.simplefilter("ignore", ConvergenceWarning)  # after so few iterations
    started = time.perf_counter()
    theirs = TheirRegression(C=1 / (PENALTY * len(labels)), max_iter=ITERATIONS, tol=1e-4)
    theirs.fit(features.numpy(), labels.numpy())
    return time.perf_counter() - started


SOLVERS: dict[str, Callable[[Tensor, Tensor], float]] = {"lbfgs": lbfgs, "adamw": adamw, "sklearn": sklearn}


def parts(labels: Tensor) -> tuple[Backbone, Callable[..., nn.Module], list[str]]:
    """What a classifier of features is made of."""
    backbone = Backbone(nn.Identity(), COLUMNS, PREPROCESSING)
    return backbone, linear, [str(label) for label in range(int(labels.max()) + 1)]


def seconds_of_an_epoch(model: Classifier, batches: FullBatch | Shuffled) -> float:
    """Seconds that Lightning takes for one epoch, which it has been set up for."""
    from comparison.head_epoch import EpochTimes
    from lightning.pytorch import Trainer

    times = EpochTimes()
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    options: dict[str, Any] = dict.fromkeys(off, False)
    trainer = Trainer(accelerator="cpu", max_epochs=1, callbacks=[times], **options)
    few = InOrder(batches.views[0][:BATCH], batches.labels[:BATCH], BATCH)
    trainer.fit(model, train_dataloaders=batches, val_dataloaders=few)
    return times.per_epoch


if __name__ == "__main__":
    main()
