"""What predictions come to, by class and by probability: in plain NumPy, as scikit-learn has it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15
Floats = NDArray[np.float64]


class ClassScores(NamedTuple):
    """One number a class: precision, recall and F1 (0 where they would be 0 / 0), and how many images it has."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: NDArray[np.int64]


class Bins(NamedTuple):
    """Predictions by their probability: its mean, the fraction that is right, and how many there are, by bin."""

    confidence: Floats
    accuracy: Floats
    images: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """The expected calibration error: by how much the two differ for an image (Guo et al. 2017)."""
        return float(np.abs(self.confidence - self.accuracy) @ self.images / max(self.images.sum(), 1))


class Curve(NamedTuple):
    """A line from one end to the other, and the area under it."""

    x: Floats
    y: Floats
    area: float


def class_scores(confusions: ArrayLike, num_classes: int) -> ClassScores:
    """Of rows [true, predicted, images]."""
    true, predicted, images = np.asarray(confusions, dtype=np.int64).reshape(-1, 3).T
    count = [np.bincount(of, images, num_classes) for of in (true, predicted)]
    support, found = count
    hits = np.bincount(true[true == predicted], images[true == predicted], num_classes)
    precision, recall, f1 = (_over(hits, found), _over(hits, support), _over(2 * hits, found + support))
    return ClassScores(precision, recall, f1, support.astype(np.int64))


def reliability(probability: ArrayLike, right: ArrayLike, bins: int = BINS) -> Bins:
    """Predictions in `bins` bins of equal width, from 0 to 1; those that are empty left out."""
    probability, right = np.asarray(probability, dtype=np.float64), np.asarray(right)
    number = np.clip(np.ceil(probability * bins).astype(int) - 1, 0, bins - 1)  # a bin's upper end belongs to it
    images = np.bincount(number, minlength=bins)
    sums = (np.bincount(number, weights, bins) for weights in (probability, right))
    confidence, accuracy = (_over(one, images)[images > 0] for one in sums)
    return Bins(confidence, accuracy, images[images > 0])


def roc(scores: ArrayLike, positive: ArrayLike) -> Curve:
    """The true positive rate (y) by the false positive rate (x), over all thresholds."""
    hits, false = _counts(scores, positive)
    x, y = (np.concatenate([[0.0], counts / counts[-1]]) for counts in (false, hits))
    return Curve(x, y, float(np.trapezoid(y, x)))


def precision_recall(scores: ArrayLike, positive: ArrayLike) -> Curve:
    """Precision (y) by recall (x), over all thresholds; the area is the average precision."""
    hits, false = _counts(scores, positive)
    enough = np.searchsorted(hits, hits[-1]) + 1  # thresholds until all are found; lower ones find nothing more
    hits, false = hits[:enough], false[:enough]
    precision, recall = hits / (hits + false), hits / hits[-1]
    area = float(np.diff(recall, prepend=0.0) @ precision)
    return Curve(np.concatenate([[0.0], recall]), np.concatenate([[1.0], precision]), area)


def mean_curve(curves: list[Curve], points: int = 201) -> Curve:
    """The mean over classes of the height at every x, and of the areas."""
    x = np.linspace(0, 1, points)
    return Curve(x, np.mean([_heights(curve, x) for curve in curves], axis=0), float(np.mean([c.area for c in curves])))


def _counts(scores: ArrayLike, positive: ArrayLike) -> tuple[Floats, Floats]:
    """True and false positives at every threshold, the highest first; images of one score come together."""
    scores, positive = np.asarray(scores), np.asarray(positive, dtype=np.int64)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[last]
    return hits.astype(np.float64), (last + 1 - hits).astype(np.float64)


def _heights(curve: Curve, x: Floats) -> Floats:
    """By interpolation; where the line is vertical, its upper end."""
    places, firsts = np.unique(curve.x, return_index=True)
    return np.interp(x, places, np.maximum.reduceat(curve.y, firsts))


def _over(counts: ArrayLike, of: ArrayLike) -> Floats:
    return np.asarray(counts, dtype=np.float64) / np.maximum(of, 1)
