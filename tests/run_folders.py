"""Folders as runs leave them, for tests of figures and reports; and names that are hard to show."""

import json
from pathlib import Path

import torch

from headstart.predictions import Predictions
from project.reporting.predictions import write_predictions
from project.reporting.run_folder import RunFolder

ODD = [
    "$5_$10",
    "[red]",
    "a/b",
    "100 %",
    "_x",
    r"\alpha^{",
    "\U0001f600 \u732b",
    "y" * 5000,
    "a\nb",
    "\udcff",
    "",
    "#~&",
    "<b>$x_1$</b> [red]",
]


def a_run(folder: Path, classes: list[str], images: int = 60, path: str = "") -> RunFolder:
    """A folder as a run with random predictions leaves it."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(images) % len(classes)
    logits = torch.randn(images, len(classes), generator=rng)
    logits[range(0, images, 2), labels[::2]] += 5
    found = Predictions((path,) * images, labels, logits.softmax(1))
    (folder / "results.json").write_text(json.dumps({"status": "finished", "classes": classes}))
    (folder / "metrics.csv").write_text("epoch,train/loss,val/loss,val/accuracy\n0,2,1.5,0.5\n1,1,1.2,0.6\n")
    write_predictions(folder, {"val": found, "test": found}, classes)
    return RunFolder(folder)
