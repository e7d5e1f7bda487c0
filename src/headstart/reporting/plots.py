"""Pictures of a run, as PNG files that need nothing but an image viewer."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure  # without pyplot: no window system, no global state, nothing to close
from matplotlib.ticker import MaxNLocator


def plot_history(rows: list[dict[str, float]], path: str | Path) -> None:
    """Draw loss and accuracy by epoch, for training and validation, from the rows of a `metrics.csv`."""
    figure = Figure(figsize=(9, 3.6))  # with margins of its own: a layout engine takes longer than the drawing
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.14, top=0.91, wspace=0.15)
    epochs = [row["epoch"] + 1 for row in rows]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split in ("train", "val"):
            values = [row.get(f"{split}/{name}", np.nan) for row in rows]
            axes.plot(epochs, values, marker="o", markersize=3, label=split)
        axes.set_title(name, y=1.01)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})


def plot_confusion_matrix(counts: list[list[int]], classes: tuple[str, ...], path: str | Path) -> None:
    """Draw test pictures by true class (rows) and predicted class (columns), shaded by share of the row."""
    matrix = np.asarray(counts)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # In inches, for ten-point letters: room for the names on the left, and at 45 degrees below.
    grid, longest = 0.3 + 0.45 * len(classes), 0.09 * max(map(len, classes))
    left, bottom = 0.6 + longest, 0.6 + 0.75 * longest
    width, height = left + grid + 0.2, bottom + grid + 0.4
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, bottom / height, grid / width, grid / height))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_title("test pictures", y=1.0)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    for row, column in np.argwhere(matrix):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=shade, fontsize=9)
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})


def plot_rate_search(rates: list[float], losses: list[float], chosen: float | None, path: str | Path) -> None:
    """Draw the smoothed loss by learning rate, with the `chosen` one marked."""
    figure = Figure(figsize=(6, 3.6))
    axes = figure.add_axes((0.11, 0.15, 0.86, 0.76))
    axes.plot(rates[: len(losses)], losses)
    if chosen is not None:
        axes.axvline(chosen, color="C1", label=f"chosen: {chosen:g}")
        axes.legend(frameon=False)
    axes.set_xscale("log")
    axes.set_title("search for the learning rate", y=1.01)
    axes.set(xlabel="learning rate", ylabel="loss of a training batch, smoothed")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100, pil_kwargs={"compress_level": 1})
