"""What the score could become with more images, and what it is without any training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)

from .examined import Examined, watched
from .heads import Solve, probabilities, solved
from .neighbours import nearest

SHARES = tuple(tenth / 10 for tenth in range(1, 11))  # of the training images
SEEDS = 3  # draws of images for each share
NEIGHBOURS = 10


def scored_split(images: Examined) -> str | None:
    """The split that is scored on: test, or where there is none, val; None where there is neither, or nothing else."""
    there = [split for split in ("test", "val") if split in images.splits]
    return there[0] if there and "train" in images.splits else None


def learning_curve(images: Examined, solve: Solve, split: str, penalties: Sequence[float]) -> list[dict[str, Any]]:
    """The accuracy on a split by share of the training images: `images`, `accuracy` (a mean over draws), `deviation`.

    Draws are stratified, and the smaller ones of a seed are parts of its larger ones, whose heads start from theirs.
    """
    train, scored = images.rows("train"), images.rows(split)
    labels, test, truth = images.labels[train], images.features[scored], images.labels[scored]
    found: dict[float, list[float]] = {share: [] for share in SHARES}
    counts, head, ranks = {}, None, torch.empty(0)
    for seed, share in watched([(seed, share) for seed in range(SEEDS) for share in SHARES], "Learning curve"):
        if share == SHARES[0]:
            ranks, head = _ranks(labels, seed), None
        rows = train[ranks < share]
        known = images.features[rows], images.labels[rows]
        head = solved(solve, *known, len(images.classes), penalties if head is None else penalties[-1:], head)
        found[share].append(_accuracy(probabilities(head, test).argmax(dim=1), truth))
        counts[share] = len(rows)
    scores = {share: torch.tensor(values).double() for share, values in found.items()}
    return [
        {
            "images": counts[share],
            "accuracy": float(values.mean()),
            "deviation": float(values.std()),
        }
        for share, values in scores.items()
    ]


def _ranks(labels: Tensor, seed: int) -> Tensor:
    """A number from 0 to 1 for each image: those below a share are so large a part of every class, one at least."""
    generator, ranks = torch.Generator().manual_seed(seed), torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        ranks[rows] = torch.randperm(len(rows), generator=generator).double() / len(rows)
    return ranks


def floor(images: Examined, split: str) -> dict[str, float]:
    """The accuracy of the nearest neighbours' vote, and of the nearest class mean: what no training reaches."""
    train, scored = images.rows("train"), images.rows(split)
    known, labels = images.directions[train], images.labels[train]
    queries, truth = images.directions[scored], images.labels[scored]
    _, rows = nearest(queries, known, NEIGHBOURS)
    votes = F.one_hot(labels[rows], len(images.classes)).sum(dim=1)
    sums = torch.zeros(len(images.classes), known.shape[1]).index_add(0, labels, known)
    counts = torch.bincount(labels, minlength=len(images.classes))
    there = counts.nonzero()[:, 0]
    means = sums[there] / counts[there, None]
    closest = there[torch.cdist(queries, means).argmin(dim=1)]
    return {"nearest_neighbours": _accuracy(votes.argmax(dim=1), truth), "class_means": _accuracy(closest, truth)}


def _accuracy(predicted: Tensor, truth: Tensor) -> float:
    return float((predicted == truth).double().mean())
