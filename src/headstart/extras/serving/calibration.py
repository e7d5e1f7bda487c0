"""Probabilities that mean what they say: one temperature, fitted on validation images."""

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.05, 20.0
STEPS = 40  # halvings of the range, in logarithms: to 1e-11 of it

Floats = NDArray[np.float64]


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature that gives `labels` [images] the highest likelihood (Guo et al. 2017), from 0.05 to 20.

    `probabilities` [images, classes] are those at a temperature of 1: their logarithms are the logits, but for a
    constant that changes nothing. In 1 / temperature the likelihood is concave, so that its slope has one zero. It is 1
    where there is nothing to fit: no image, all classes equally likely, or every image right (the lower the better).
    """
    logits = _logits(probabilities)
    if (logits.argmax(axis=1) == labels).all() or not np.ptp(logits, axis=1).any():
        return 1.0
    low, high = np.log(1 / HIGHEST), np.log(1 / LOWEST)
    own = logits[np.arange(len(labels)), labels].mean()
    for _ in range(STEPS):
        middle = (low + high) / 2
        expected = (_softmax(logits * np.exp(middle)) * logits).sum(axis=1).mean()
        low, high = (middle, high) if own > expected else (low, middle)
    return float(1 / np.exp(low))


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> Floats:
    """The probabilities [images, classes] that they come to at another temperature than 1."""
    return _softmax(_logits(probabilities) / temperature)


def _logits(probabilities: NDArray[np.float32]) -> Floats:
    """Of a probability too small for float32, that of the smallest."""
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny).astype(np.float64))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
