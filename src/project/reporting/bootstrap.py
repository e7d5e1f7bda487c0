"""How sure measured scores are: intervals by the bootstrap (Efron 1979), in plain NumPy."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
PERCENT = 95
AT_ONCE = 5_000_000  # counts in memory

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A measured value, and the lower and upper end of its interval."""

    value: float
    low: float
    high: float


class Scores(NamedTuple):
    """Intervals of `accuracy`, of the means over classes that have images, and of these classes by their number."""

    images: int
    accuracy: Interval
    mean_recall: Interval
    mean_f1: Interval
    support: Mapping[int, int]
    precision: Mapping[int, Interval]
    recall: Mapping[int, Interval]
    f1: Mapping[int, Interval]


def bootstrap(labels: ArrayLike, predicted: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Scores:
    """Scores of `labels` and `predicted` [images], and the middle 95 % of what they are when images are drawn anew.

    Images are drawn with replacement, as many as there are. A score of a class leaves out the draws that hold none of
    its images. That is the same as drawing how often each pair of label and prediction comes, which is far less.
    """
    labels, predicted = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    classes, rng = np.unique(labels), np.random.default_rng(seed)
    size = max(1, AT_ONCE // max(len(counts), len(classes)))
    parts = [
        _scores(rng.multinomial(len(labels), counts / len(labels), size=min(size, resamples - start)), pairs, classes)
        for start in range(0, resamples, size)
    ]
    measured = _scores(counts[None], pairs, classes)
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in measured}
    ends = (50 - PERCENT / 2, 50 + PERCENT / 2)
    low_high = {name: np.nanpercentile(values, ends, axis=0) for name, values in drawn.items()}

    def interval(name: str, column: int = 0) -> Interval:
        low, high = low_high[name][:, column]
        return Interval(float(measured[name][0, column]), float(low), float(high))

    def by_class(name: str) -> dict[int, Interval]:
        return {int(number): interval(name, column) for column, number in enumerate(classes)}

    means = (interval("accuracy"), interval("mean_recall"), interval("mean_f1"))
    support = {int(number): int((labels == number).sum()) for number in classes}
    return Scores(len(labels), *means, support, by_class("precision"), by_class("recall"), by_class("f1"))


def _scores(counts: NDArray[np.int64], pairs: NDArray[np.int64], classes: NDArray[np.int64]) -> dict[str, Floats]:
    """Every score [draws, 1 or classes] of `counts` [draws, pairs]; NaN for a class of which no image was drawn."""
    true, predicted = pairs
    hits = counts * (true == predicted)
    found, support = _sums(counts, predicted, classes), _sums(counts, true, classes)
    right = _sums(hits, true, classes)
    there = np.where(support > 0, 1.0, np.nan)
    by_class = {
        "precision": right / np.maximum(found, 1) * there,
        "recall": right / np.maximum(support, 1) * there,
        "f1": 2 * right / np.maximum(found + support, 1) * there,
    }
    means = {f"mean_{name}": np.nanmean(by_class[name], axis=1, keepdims=True) for name in ("recall", "f1")}
    return {"accuracy": hits.sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)} | means | by_class


def _sums(counts: NDArray[np.int64], of: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The counts [draws, classes] of the pairs that are `of` a class."""
    order = np.argsort(of, kind="stable")
    numbers, starts = np.unique(of[order], return_index=True)
    sums = np.add.reduceat(counts[:, order], starts, axis=1)
    places = np.searchsorted(numbers, classes).clip(max=len(numbers) - 1)
    return sums[:, places] * (numbers[places] == classes)
