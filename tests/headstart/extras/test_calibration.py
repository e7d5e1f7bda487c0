"""A temperature for probabilities."""

import numpy as np
import pytest

from headstart.extras.serving.calibration import at_temperature, fit_temperature


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_is_found_that_logits_were_multiplied_by(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(4000, 5))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)  # drawn by the probabilities of these logits
    stated = softmax(logits * temperature)
    found = fit_temperature(stated, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    np.testing.assert_allclose(at_temperature(stated, temperature), softmax(logits), atol=1e-5)

    def loss(at: float) -> float:
        return -float(np.log(at_temperature(stated, at)[np.arange(len(labels)), labels]).mean())

    assert all(loss(found) < loss(found * factor) for factor in (0.98, 1.02))


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((0, 3)), []),  # no image
        (np.eye(3), [0, 1, 2]),  # all right, and certain
        (np.full((3, 3), 1 / 3), [0, 1, 2]),
        (np.ones((4, 1)), [0, 0, 0, 0]),
    ],
)
def test_without_anything_to_fit_probabilities_stay(probabilities: np.ndarray, labels: list[int]) -> None:
    assert fit_temperature(probabilities.astype(np.float32), np.array(labels, dtype=np.int64)) == 1.0
