import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Train, results
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from headstart.tracking.history import read_history
from project.backbones.torchvision import from_torchvision
from project.model import heads, logistic_regression
from project.model.logistic_regression import LogisticRegression, in_parts, solve

COUNT, FEATURES, CLASSES = 200, 30, 4


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (COUNT,), generator=generator)
    centres = torch.randn(CLASSES, FEATURES, generator=generator)
    return centres[labels] + 2 * torch.randn(COUNT, FEATURES, generator=generator), labels


def solved(
    features: Tensor, labels: Tensor, penalty: float, head: nn.Module | None = None, **options: Any
) -> nn.Module:
    head = head or heads.linear(FEATURES, CLASSES)
    (linear,) = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    optimizer = torch.optim.LBFGS(
        linear.parameters(), max_iter=500, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )
    solve(head, features, labels, penalty, optimizer.step, **options)
    return head


@pytest.mark.parametrize("penalty", [1.0, 0.01])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_the_minimum_of_the_penalised_loss(data: tuple[Tensor, Tensor], penalty: float, smoothing: float) -> None:
    features, labels = data
    head = solved(features, labels, penalty, label_smoothing=smoothing)
    variance = (features - features.mean(dim=0)).square().mean()
    weight = head[1].weight  # pyright: ignore[reportIndexIssue]
    loss = F.cross_entropy(head(features), labels, label_smoothing=smoothing)
    total = loss + penalty / 2 * variance * weight.square().sum()
    gradients = torch.autograd.grad(total, list(head.parameters()))
    assert max(gradient.abs().max() for gradient in gradients) < 5e-4


def test_class_weights_do_what_more_images_do(data: tuple[Tensor, Tensor]) -> None:
    features, labels = data
    rows = torch.arange(COUNT).repeat_interleave((labels == 2) * 2 + 1)  # those of class 2 three times
    weighted = solved(features, labels, 1e-3, class_weights=torch.tensor([1.0, 1.0, 3.0, 1.0]))
    plain = solved(features, labels, 1e-3)
    repeated = solved(features[rows], labels[rows], 1e-3)
    difference = (weighted(features) - repeated(features)).abs().max()
    assert difference < 0.1 * (plain(features) - repeated(features)).abs().max()


@pytest.mark.parametrize("class_weights", [None, torch.tensor([1.0, 1.0, 3.0, 1.0])])
def test_many_images_are_solved_for_in_parts(
    data: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, class_weights: Tensor | None
) -> None:
    features, labels = data[0].double(), data[1]  # in float32 a search ends a little earlier or later
    weights = None if class_weights is None else class_weights.double()
    options = {"class_weights": weights, "label_smoothing": 0.1}
    whole = solved(features, labels, 0.01, heads.linear(FEATURES, CLASSES).double(), **options)
    monkeypatch.setattr(logistic_regression, "AT_ONCE", 33 * CLASSES)
    parts = in_parts(features, labels, CLASSES, weights)
    assert [len(labels) for _, labels, _ in parts] == [*[33] * 6, 2]
    assert sum(share for *_, share in parts) == pytest.approx(1)
    head = solved(features, labels, 0.01, heads.linear(FEATURES, CLASSES).double(), **options)
    assert torch.allclose(head(features), whole(features), atol=1e-5)


def test_a_weaker_penalty_fits_closer(data: tuple[Tensor, Tensor]) -> None:
    losses = [F.cross_entropy(solved(*data, penalty)(data[0]), data[1]).item() for penalty in (1.0, 0.1, 0.01)]
    assert losses[0] > losses[1] > losses[2]


def test_scale_and_offset_of_the_features_change_nothing(data: tuple[Tensor, Tensor]) -> None:
    features, labels = data
    wanted = solved(features, labels, 0.1)(features)
    moved = 300 * features + torch.linspace(-500, 500, FEATURES)
    assert torch.allclose(solved(moved, labels, 0.1)(moved), wanted, atol=2e-3)


def test_features_that_do_not_differ_are_no_trouble(data: tuple[Tensor, Tensor]) -> None:
    _, labels = data
    head = solved(torch.ones(COUNT, FEATURES), labels, 0.1)
    assert all(parameter.isfinite().all() for parameter in head.parameters())


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_a_normalisation_before_the_layer_is_gone_through(data: tuple[Tensor, Tensor], norm: str) -> None:
    features, labels = data
    head = heads.linear(FEATURES, CLASSES, norm=norm)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")
    solve(head, features, labels, 0.01, optimizer.step)
    accuracy = (head.eval()(features).argmax(dim=1) == labels).float().mean()
    assert accuracy > 0.8


def test_penalties_go_from_strong_to_weak() -> None:
    backbone = from_torchvision("mobilenet_v3_small", weights=None)
    model = LogisticRegression(backbone, heads.linear, ("a", "b"), strongest=1.0, weakest=1e-4, epochs=5)
    penalties = [model.penalty(epoch) for epoch in range(6)]
    assert penalties == pytest.approx([1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-4])
    with pytest.raises(ValueError, match=r"add solver=adamw"):
        LogisticRegression(backbone, partial(heads.mlp, hidden=4), ("a", "b"))
    with pytest.raises(ValueError, match=r"the strongest first"):
        LogisticRegression(backbone, heads.linear, ("a", "b"), strongest=0.1, weakest=1.0)


@pytest.mark.slow
def test_the_loss_chooses_among_penalties_and_the_accuracy_is_the_score(
    train: Train, images: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(images, tmp_path / "noisy"))
    classes = sorted((root / "train").iterdir())
    for one, other in zip(classes[::2], classes[1::2], strict=True):  # a quarter of the training labels is wrong
        (one / "0000.jpg").rename(tmp_path / "kept.jpg")
        (other / "0000.jpg").rename(one / "0000.jpg")
        (tmp_path / "kept.jpg").rename(other / "0000.jpg")
    (run_dir,) = train(
        "trainer.precision=32-true", "trainer.max_epochs=8", "patience=8", "model.weakest=1e-10", f"data.root={root}"
    )
    rows = read_history(run_dir / "metrics.csv")
    chosen = min(rows, key=lambda row: row["val/loss"])
    found = results(run_dir)
    assert chosen not in (rows[0], rows[-1]), "best, first and last must differ for this test to mean anything"
    assert found["metrics"]["val/loss"] == pytest.approx(chosen["val/loss"], rel=1e-4)
    assert found["monitor"] == "val/accuracy"
    assert found["score"] == found["metrics"]["val/accuracy"]
