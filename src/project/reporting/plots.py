"""Plots of a run, as PNG files that need nothing but an image viewer."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure  # without pyplot: no window system, no global state, nothing to close
from matplotlib.ticker import MaxNLocator


def plot_history(rows: list[dict[str, float]], path: Path) -> Path:
    """Draw loss and accuracy by epoch, for training and validation, from the rows of a `metrics.csv`."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split in ("train", "val"):
            points = [(row["epoch"] + 1, row[f"{split}/{name}"]) for row in rows if f"{split}/{name}" in row]
            axes.plot(*(zip(*points, strict=True) if points else ([], [])), marker="o", markersize=3, label=split)
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=100)
    return path


def plot_confusion_matrix(counts: list[list[int]], classes: list[str], path: Path) -> Path:
    """Draw test images by true class (rows) and predicted class (columns), shaded by their fraction of the row."""
    matrix = np.asarray(counts)
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 1.5 + 0.45 * len(classes) + 0.09 * max(map(len, classes))  # inches
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axes.set(title="test images", xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    for row, column in np.argwhere(matrix):
        shade = "white" if fractions[row, column] > 0.5 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=shade, fontsize=9)
    figure.savefig(path, dpi=100)
    return path
