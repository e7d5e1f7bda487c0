"""Probabilities that hold: one temperature for all logits, fitted on images that the model wasn't trained on."""

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.05, 20.0  # beyond these, nearly all predictions are right, or none says anything: nothing to fit
SMALLEST = float(np.finfo(np.float32).tiny)  # in place of a probability of 0
Floats = NDArray[np.floating]
STEPS = 30  # of bisection: to a billionth


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature that makes the labels likeliest (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    `probabilities` [images, classes] are those of temperature 1, `labels` [images] the classes' numbers. Above 1 makes
    predictions less certain. Returns 1.0 where there is nothing to fit: no image, or every likelihood grows for ever.
    """
    logits = np.log(np.maximum(probabilities, SMALLEST))
    low, high = 1 / HIGHEST, 1 / LOWEST
    if not len(labels) or _slope(logits, labels, low) >= 0 or _slope(logits, labels, high) <= 0:
        return 1.0
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _slope(logits, labels, middle) < 0 else (low, middle)
    return float(1 / (low * high) ** 0.5)


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> Floats:
    """The probabilities [images, classes] at another temperature than 1."""
    return _softmax(np.log(np.maximum(probabilities, SMALLEST)) / temperature)


def _slope(logits: Floats, labels: NDArray[np.int64], scale: float) -> float:
    """The derivative of the mean negative log likelihood by the logits' scale, which only ever grows with it."""
    expected = (_softmax(logits * scale) * logits).sum(axis=1)
    return float((expected - logits[np.arange(len(labels)), labels]).mean(dtype=np.float64))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
