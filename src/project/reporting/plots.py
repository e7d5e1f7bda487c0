"""Images of a run, as PNG files that need nothing but an image viewer.

Making axes takes longer than drawing them: the jobs of a sweep share theirs, and put their own numbers in.
"""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure  # without pyplot: no window system, no global state, nothing to close
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from PIL import Image

SPLITS, METRICS = ("train", "val"), ("loss", "accuracy")
DPI = 100


def plot_history(rows: list[dict[str, float]], path: str | Path) -> None:
    """Draw loss and accuracy by epoch, for training and validation, from the rows of a `metrics.csv`."""
    figure = _history_figure()
    epochs = [row["epoch"] + 1 for row in rows]
    for axes, name in zip(figure.axes, METRICS, strict=True):
        for line, split in zip(axes.get_lines(), SPLITS, strict=True):
            line.set_data(epochs, [row.get(f"{split}/{name}", np.nan) for row in rows])
        axes.relim()
        axes.autoscale_view()
    figure.savefig(path, dpi=DPI, pil_kwargs={"compress_level": 1})


@cache
def _history_figure() -> Figure:
    """Axes for each metric, with a line for each split and no points."""
    figure = Figure(figsize=(9, 3.6))  # with margins of its own: a layout engine takes longer than the drawing
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.14, top=0.91, wspace=0.15)
    for axes, name in zip(figure.subplots(1, 2), METRICS, strict=True):
        for split in SPLITS:
            axes.plot([], [], marker="o", markersize=3, label=split)
        axes.set_title(name, y=1.01)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))  # half of the drawing is the numbers beside the axes
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure


def plot_confusion_matrix(counts: list[list[int]], classes: tuple[str, ...], path: str | Path) -> None:
    """Draw test images by true class (rows) and predicted class (columns), shaded by share of the row."""
    matrix = np.asarray(counts)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    canvas, axes, image, names = _matrix_figure(classes)
    canvas.restore_region(names)
    image.set_data(shares)
    axes.draw_artist(image)
    for row, column in np.argwhere(matrix):
        shade = "white" if shares[row, column] > 0.5 else "black"
        text = axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=shade, fontsize=9)
        axes.draw_artist(text)
        text.remove()
    for spine in axes.spines.values():
        axes.draw_artist(spine)
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(path, compress_level=1)


@lru_cache(maxsize=1)
def _matrix_figure(classes: tuple[str, ...]) -> tuple[FigureCanvasAgg, Axes, AxesImage, Any]:
    """A field for each pair of classes, empty yet; and its image, with the names of the classes."""
    # In inches, for ten-point letters: room for the names on the left, and at 45 degrees below.
    grid, longest = 0.3 + 0.45 * len(classes), 0.09 * max(map(len, classes))
    left, bottom = 0.6 + longest, 0.6 + 0.75 * longest
    width, height = left + grid + 0.2, bottom + grid + 0.4
    figure = Figure(figsize=(width, height), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((left / width, bottom / height, grid / width, grid / height))
    image = axes.imshow(np.zeros((len(classes), len(classes))), cmap="Blues", vmin=0, vmax=1)
    image.set_animated(True)  # left out of the image
    axes.set_title("test images", y=1.0)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    canvas.draw()
    return canvas, axes, image, canvas.copy_from_bbox(figure.bbox)


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
