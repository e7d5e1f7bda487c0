"""Intervals of scores: those of images drawn anew, one by one, as scikit-learn measures them."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from project.reporting.bootstrap import bootstrap


def drawn(images: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, images, p=[0.5, 0.3, 0.15, 0.05])
    wrong = rng.random(images) < 0.3
    return labels, np.where(wrong, rng.integers(0, classes + 1, images), labels)  # and one that no image has


def test_the_values_are_scikit_learns() -> None:
    labels, predicted = drawn(200)
    found = bootstrap(labels, predicted)
    measure: Any = metrics.precision_recall_fscore_support
    precision, recall, f1, support = measure(labels, predicted, labels=range(4), zero_division=0)
    for mine, wanted in ((found.precision, precision), (found.recall, recall), (found.f1, f1)):
        assert [mine[number].value for number in range(4)] == pytest.approx(list(wanted))
    assert [*found.support.values()] == list(support)
    assert found.accuracy.value == pytest.approx((labels == predicted).mean())
    assert found.mean_recall.value == pytest.approx(recall.mean())
    assert found.mean_f1.value == pytest.approx(f1.mean())


def test_the_intervals_are_those_of_images_drawn_one_by_one() -> None:
    labels, predicted = drawn(150)
    found, rng = bootstrap(labels, predicted, resamples=4000), np.random.default_rng(1)
    accuracies, recalls = [], []
    for _ in range(4000):
        rows = rng.integers(0, 150, 150)
        accuracies.append((labels[rows] == predicted[rows]).mean())
        own = rows[labels[rows] == 1]
        recalls.append((predicted[own] == 1).mean())
    for values, interval in ((accuracies, found.accuracy), (recalls, found.recall[1])):
        assert np.percentile(values, [2.5, 97.5]) == pytest.approx([interval.low, interval.high], abs=0.015)


def test_the_same_each_time_and_narrower_with_more_images() -> None:
    few, many = (bootstrap(*drawn(images)) for images in (50, 5000))
    assert few == bootstrap(*drawn(50))
    assert few != bootstrap(*drawn(50), seed=1)
    assert few.accuracy.high - few.accuracy.low > 5 * (many.accuracy.high - many.accuracy.low)


def test_classes_without_images_have_no_part() -> None:
    found = bootstrap([5, 5, 900, 900], [5, 5, 900, 3], resamples=100)
    assert list(found.recall) == [5, 900]
    assert found.mean_recall.value == 0.75
    assert found.f1[900].value == pytest.approx(2 / 3)
    one = bootstrap([7], [2])
    assert one.recall == {7: (0.0, 0.0, 0.0)}


def test_thousands_of_classes_take_seconds() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 20_000)
    found = bootstrap(labels, np.where(rng.random(20_000) < 0.5, labels, rng.permutation(labels)), resamples=100)
    assert len(found.f1) == 1000
