"""What predictions come to is what scikit-learn says."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from project.reporting import numbers


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("classes", [2, 7, 300])
def test_scores_of_each_class(rng: np.random.Generator, classes: int) -> None:
    labels, predicted = rng.integers(classes, size=(2, 400))
    predicted[:250] = labels[:250]
    predicted[predicted == 1] = 0  # a class that is never predicted
    codes, images = np.unique(labels * classes + predicted, return_counts=True)
    cells = np.stack([codes // classes, codes % classes, images], axis=1)
    found = numbers.class_scores(cells, classes)
    named = {"labels": range(classes), "zero_division": 0.0}
    wanted = metrics.precision_recall_fscore_support(labels, predicted, **named)  # pyright: ignore[reportArgumentType]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine == pytest.approx(theirs)


@pytest.mark.parametrize("digits", [1, 8])  # with scores that many images have, and without
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_curves_and_their_areas(rng: np.random.Generator, digits: int, share: float) -> None:
    positive = rng.random(500) < share
    scores = (rng.random(500) + 0.5 * positive).round(digits).astype(np.float32)
    roc, precision_recall = numbers.roc(scores, positive), numbers.precision_recall(scores, positive)
    assert roc.area == pytest.approx(metrics.roc_auc_score(positive, scores))
    assert precision_recall.area == pytest.approx(metrics.average_precision_score(positive, scores))
    x, y, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    assert roc.x == pytest.approx(x)
    assert roc.y == pytest.approx(y)
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    some = precision_recall.x.searchsorted(1.0)  # scikit-learn goes on below the threshold that finds all
    assert precision_recall.x[: some + 1] == pytest.approx(recall[::-1][: some + 1])
    assert precision_recall.y[: some + 1] == pytest.approx(precision[::-1][: some + 1])


def test_the_mean_of_curves_is_that_of_their_areas(rng: np.random.Generator) -> None:
    labels, scores = rng.integers(4, size=800), rng.random((800, 4))
    scores[range(800), labels] += 0.7
    scores /= scores.sum(axis=1, keepdims=True)
    curves = [numbers.roc(scores[:, one], labels == one) for one in range(4)]
    mean = numbers.mean_curve(curves)
    assert mean.area == pytest.approx(metrics.roc_auc_score(labels, scores, multi_class="ovr", average="macro"))
    assert np.trapezoid(mean.y, mean.x) == pytest.approx(mean.area, abs=0.005)


def test_reliability(rng: np.random.Generator) -> None:
    probability = rng.random(2000) ** 0.5
    right = rng.random(2000) < probability**2
    bins = numbers.reliability(probability, right, 10)
    accuracy, confidence = calibration_curve(right, probability, n_bins=10)
    assert bins.accuracy == pytest.approx(accuracy)
    assert bins.confidence == pytest.approx(confidence)
    assert bins.images.sum() == 2000
    assert bins.ece == pytest.approx(np.average(np.abs(accuracy - confidence), weights=bins.images))
    assert numbers.reliability([0.0, 1.0], [False, True]).ece == 0
