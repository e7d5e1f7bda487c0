"""What the doctor computes, against scikit-learn, SciPy and cases that are known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid, NearestNeighbors
from torch import Tensor, nn

from headstart.extras.doctor import neighbours
from headstart.extras.doctor.duplicates import duplicate_groups, leakage, repeated_images, under_two_labels
from headstart.extras.doctor.examine import examine
from headstart.extras.doctor.examined import Examined
from headstart.extras.doctor.labels import confident_errors, doubtful_labels, judge, stratified_folds
from headstart.extras.doctor.oddities import neighbour_distances, odd_looks, outliers
from headstart.extras.doctor.page import page
from headstart.extras.doctor.prospects import floor, learning_curve
from headstart.extras.doctor.shares import brightness, chi_squared, class_shares, small_classes
from headstart.images.looks import CheckedImages, Look
from headstart.images.table import Sample

COUNTS = {"train": 90, "val": 30, "test": 60}
CLASSES = ("[red]", "<b>cat</b>", "$x$")


@pytest.fixture(scope="module")
def images() -> Examined:
    """Three classes of normal features that overlap a little, in three splits; five training labels are wrong."""
    generator, count = torch.Generator().manual_seed(0), sum(COUNTS.values())
    labels = torch.arange(count) % 3
    features = 1.5 * nn.functional.one_hot(labels, 8).float() + 0.5 * torch.randn(count, 8, generator=generator) + 5
    labels[:5] = (labels[:5] + 1) % 3
    splits = [split for split, number in COUNTS.items() for _ in range(number)]
    return Examined([f"{row}.jpg" for row in range(count)], splits, labels, features, CLASSES)


def by_sklearn(head: nn.Module, features: Tensor, labels: Tensor, penalty: float, _: Any) -> None:
    """Solve for a head with scikit-learn."""
    fitted = logistic_regression(penalty, len(labels)).fit(features.numpy(), labels.numpy())
    with torch.no_grad():
        for parameter, values in zip(head.parameters(), (fitted.coef_, fitted.intercept_), strict=True):
            parameter.copy_(torch.from_numpy(values))


def logistic_regression(penalty: float, count: float) -> LogisticRegression:
    return LogisticRegression(C=1 / (penalty * count), tol=1e-6, max_iter=1000)


def test_folds_are_stratified_and_of_equal_size() -> None:
    labels = torch.tensor([0] * 13 + [1] * 4 + [2] * 21)
    folds = stratified_folds(labels, 5)
    assert sorted(torch.bincount(folds).tolist()) == [7, 7, 8, 8, 8]
    for label in range(3):
        counts = torch.bincount(folds[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_out_of_fold_probabilities_are_those_of_cross_validation(images: Examined) -> None:
    judged = judge(by_sklearn, images.features, images.labels, 3)
    folds = stratified_folds(images.labels, 5)
    model = logistic_regression(judged.penalties[-1], 0.8 * len(images.labels))
    x, y = images.features.numpy(), images.labels.numpy()
    wanted: Any = cross_val_predict(model, x, y, cv=PredefinedSplit(folds.numpy()), method="predict_proba")
    np.testing.assert_allclose(judged.given, wanted[np.arange(len(y)), y], atol=1e-3)
    np.testing.assert_array_equal(judged.likeliest, wanted.argmax(1))
    found = doubtful_labels(images, judged)
    assert {finding.path for finding in found[:6]} >= {f"{row}.jpg" for row in range(5)}
    assert [finding.score for finding in found] == sorted(finding.score or 0 for finding in found)
    assert found[0].suggested != found[0].given
    thresholds = [wanted[y == label, label].mean() for label in range(3)]
    errors = [
        best != label and row[best] >= thresholds[best]
        for row, best, label in zip(wanted, wanted.argmax(1), y, strict=True)
    ]
    assert confident_errors(judged, images.labels, 3).tolist() == errors
    assert sum(errors) > 2


def test_a_class_with_a_single_image_is_not_judged(images: Examined) -> None:
    labels = images.labels.clone()
    labels[7] = 3
    judged = judge(by_class_means, images.features, labels, 4)
    assert judged.given.isnan().nonzero()[:, 0].tolist() == [7]
    assert "7.jpg" not in {finding.path for finding in doubtful_labels(replace(images, labels=labels), judged)}


def by_class_means(head: Any, features: Tensor, labels: Tensor, *_: Any) -> None:
    """The nearest class mean as a linear head: enough to tell well-known classes apart."""
    with torch.no_grad():
        for label in labels.unique().tolist():
            mean = features[labels == label].mean(dim=0)
            head.weight[label], head.bias[label] = mean, -mean.square().sum() / 2


def test_neighbours_and_distances_are_those_of_scikit_learn(images: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 1000)  # of five rows
    cosines, rows = neighbours.nearest(images.directions, images.directions, 4, same=True)
    wanted, found = NearestNeighbors(n_neighbors=5).fit(images.directions.numpy()).kneighbors(images.directions)
    np.testing.assert_allclose((2 - 2 * cosines).sqrt(), wanted[:, 1:], atol=1e-3)
    np.testing.assert_array_equal(rows, found[:, 1:])
    np.testing.assert_allclose(neighbour_distances(cosines), wanted[:, 1:].mean(1), atol=1e-3)
    assert neighbours.nearest(images.directions[:3], images.directions[:3], 10, same=True)[0].shape == (3, 2)


def test_the_floor_is_that_of_scikit_learn(images: Examined) -> None:
    train, test = images.rows("train"), images.rows("test")
    x, y = images.directions.numpy(), images.labels.numpy()
    scores = {
        "nearest_neighbours": KNeighborsClassifier(10).fit(x[train], y[train]).score(x[test], y[test]),
        "class_means": NearestCentroid().fit(x[train], y[train]).score(x[test], y[test]),
    }
    assert floor(images, "test") == pytest.approx(scores)


def test_the_learning_curve_ends_with_all_images(images: Examined) -> None:
    curve = learning_curve(images, by_sklearn, "test", [1.0, 0.1])
    assert all(0 <= point["images"] - 9 * tenth <= 3 for tenth, point in enumerate(curve, start=1))
    train, test = images.rows("train"), images.rows("test")
    model = logistic_regression(0.1, len(train)).fit(images.features[train], images.labels[train])
    assert curve[-1]["accuracy"] == pytest.approx(model.score(images.features[test], images.labels[test]))
    assert curve[-1]["deviation"] == 0
    assert curve[0]["deviation"] > 0


def repeated(images: Examined) -> Examined:
    """1 is nearly 0, of another class; 100 (val) and 150 (test) are the file 2; 4 is far from everything."""
    features = images.features.clone()
    features[1] = features[0] * 1.001
    features[100] = features[150] = features[2]
    features[4] = 30 * torch.tensor([1.0, -1] * 4)
    checked = CheckedImages(set(), {}, [["2.jpg", "100.jpg", "150.jpg"]])
    return replace(images, features=features, checked=checked)


def test_repeated_images_are_named_with_their_others(images: Examined) -> None:
    images = repeated(images)
    cosines, rows = neighbours.nearest(images.directions, images.directions, 5, same=True)
    groups = [group for group in duplicate_groups(images, cosines, rows) if {0, 2} & set(group)]
    assert [0, 1] in groups
    assert [2, 100, 150] in groups
    found = {finding.path: finding for finding in repeated_images(images, groups, cosines)}
    assert [found[f"{row}.jpg"].kind for row in (0, 1, 2, 100, 150)] == ["duplicate"] * 2 + ["leak"] * 3
    assert found["0.jpg"].suggested == images.label(1) != images.label(0)
    assert found["0.jpg"].note == f"nearly 1.jpg (train, {images.label(1)})"
    assert found["2.jpg"].note.startswith("the same file as 100.jpg (val, ")
    assert leakage(images, groups) == {"val in train": 1, "test in train": 1, "test in val": 1}
    assert under_two_labels(images, groups) == 2  # 2 itself has one of the wrong labels
    assert [finding.path for finding in outliers(images, cosines)][:1] == ["4.jpg"]


def test_odd_looks_are_listed_unless_most_are_like_that(images: Examined) -> None:
    looks = dict.fromkeys(images.paths, Look(400, 300, 120, 60))
    looks |= {"3.jpg": Look(400, 300, 250, 3), "5.jpg": Look(40, 55, 120, 60), "6.jpg": Look(100, 401, 120, 60)}
    damaged = {"val": (Sample("broken.jpg", 1),)}
    found, usual = odd_looks(replace(images, checked=CheckedImages(set(), looks, []), damaged=damaged))
    assert [(one.path, one.kind, one.score) for one in found] == [
        ("broken.jpg", "damaged", None), ("3.jpg", "blank", 3), ("5.jpg", "tiny", 40), ("6.jpg", "shape", 4.01),
    ]  # fmt: skip
    assert usual == []
    small = CheckedImages(set(), dict.fromkeys(images.paths, Look(32, 32, 120, 60)), [])
    assert odd_looks(replace(images, checked=small)) == (
        [],
        ["180 of 180 images are smaller than a quarter of the 224 pixels that the backbone looks at"],
    )


def test_shares_that_differ_are_found_as_scipy_finds_them(images: Examined) -> None:
    counts = torch.tensor([[30, 20, 0, 10], [5, 6, 0, 14]])
    chi2, dof, p, _ = chi_squared(counts)
    wanted: Any = chi2_contingency(counts[:, [0, 1, 3]].numpy(), correction=False)
    assert (chi2, dof, p) == pytest.approx((wanted.statistic, wanted.dof, wanted.pvalue))
    assert not class_shares(images)["differ"]
    labels = images.labels.clone()
    labels[images.rows("test")] = 2
    found = class_shares(replace(images, labels=labels))
    assert (found["differ"], found["split"], found["class"], found["share"]) == (True, "test", "$x$", 1.0)
    labels[images.rows("train")[10:]] = 0
    assert small_classes(replace(images, labels=labels)).keys() == {"<b>cat</b>", "$x$"}


def test_light_that_differs_is_found(images: Examined) -> None:
    looks = {path: Look(9, 9, 100 + row % 40, 60) for row, path in enumerate(images.paths)}
    assert brightness(replace(images, checked=CheckedImages(set(), looks, [])))["differ"] == []
    looks |= {path: Look(9, 9, 130 + row % 40, 60) for row, path in enumerate(images.paths) if row >= 120}
    assert brightness(replace(images, checked=CheckedImages(set(), looks, [])))["differ"] == ["test"]


def test_the_page_escapes_names_and_needs_nothing_else(images: Examined) -> None:
    diagnosis = examine(repeated(images), by_class_means)
    html = page(diagnosis, "The data of <i>here</i>")
    assert "&lt;b&gt;cat&lt;/b&gt;" in html
    assert "<b>cat</b>" not in html.replace("<b>&lt;b", "")
    assert "<i>" not in html
    assert "http" not in html
    assert html.count("<figure>") == sum(min(24, count) for count in diagnosis.summary["findings"].values())
    assert "<polyline" in html
