"""Labels that are probably wrong: what heads that never saw an image say about it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)

from .examined import Examined, watched
from .findings import Finding
from .heads import PENALTIES, Solve, heads, probabilities, solved

FOLDS = 5


@dataclass(frozen=True)
class OutOfFold:
    """By image: the probability of its given class, the likeliest class, and that one's probability.

    They come from a head that was solved for without the image, with the penalties `penalties`. An image whose class
    has no other image can't be judged: its probabilities are NaN.
    """

    given: Tensor
    likeliest: Tensor
    probability: Tensor
    penalties: tuple[float, ...]


def stratified_folds(labels: Tensor, folds: int, seed: int = 0) -> Tensor:
    """The fold of each image, int64 [images]: of every class, each fold gets as many, give or take one."""
    generator, found = torch.Generator().manual_seed(seed), torch.empty_like(labels)
    dealt = 0  # a class goes on where the last one ended: folds are of equal size
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=generator)]
        found[rows] = (torch.arange(len(rows)) + dealt) % folds
        dealt += len(rows)
    return found


def judge(solve: Solve, features: Tensor, labels: Tensor, num_classes: int, folds: int = FOLDS) -> OutOfFold:
    """What heads say about images that they were not solved for.

    The first fold chooses the penalty, by the loss on its own images; the others take it.
    """
    fold_of, penalties = stratified_folds(labels, folds), PENALTIES
    given, probability = torch.full((2, len(labels)), torch.nan)
    likeliest = labels.clone()
    for fold in watched(range(folds), "Judging labels"):
        own, others = fold_of == fold, fold_of != fold
        if not own.any() or not others.any():
            continue
        if penalties is PENALTIES:
            penalties, found = _best_penalties(solve, features, labels, num_classes, own)
        else:
            found = probabilities(
                solved(solve, features[others], labels[others], num_classes, penalties), features[own]
            )
        given[own] = found.gather(1, labels[own, None])[:, 0]
        probability[own], likeliest[own] = found.max(dim=1)
        unknown = own & ~torch.isin(labels, labels[others])
        given[unknown] = probability[unknown] = torch.nan
    return OutOfFold(given, likeliest, probability, penalties)


def _best_penalties(
    solve: Solve, features: Tensor, labels: Tensor, num_classes: int, own: Tensor
) -> tuple[tuple[float, ...], Tensor]:
    """The penalties down to the one with the lowest loss on a fold, and the probabilities of its images by that."""
    best, count, found = float("inf"), 0, torch.empty(0)
    for number, head in enumerate(heads(solve, features[~own], labels[~own], num_classes), start=1):
        now = probabilities(head, features[own])
        loss = float(F.nll_loss(now.clamp_min(1e-9).log(), labels[own]))
        if loss >= best:
            break
        best, count, found = loss, number, now
    return PENALTIES[:count], found


def confident_errors(judged: OutOfFold, labels: Tensor, num_classes: int) -> Tensor:
    """Whether a label is confidently another, bool [images]: how many there are estimates how many labels are wrong.

    That is confident learning (Northcutt et al. 2021, https://arxiv.org/abs/1911.00068): the likeliest class is
    another, and as likely as it is, on average, for the images that are said to be of it.
    """
    known = ~judged.given.isnan()
    sums = torch.zeros(num_classes).index_add(0, labels[known], judged.given[known])
    thresholds = sums / torch.bincount(labels[known], minlength=num_classes).clamp_min(1)
    return known & (judged.likeliest != labels) & (judged.probability >= thresholds[judged.likeliest])


def doubtful_labels(images: Examined, judged: OutOfFold) -> list[Finding]:
    """Every image that is taken for another class than the given one, the least likely label first.

    The order is by self-confidence, which is the simplest of cleanlab's rankings, and found the most changed labels
    here.
    """
    doubted = (judged.likeliest != images.labels) & ~judged.given.isnan()
    rows = doubted.nonzero()[:, 0]
    rows = rows[judged.given[rows].argsort(stable=True)]
    return [_doubt(images, judged, row) for row in rows.tolist()]


def _doubt(images: Examined, judged: OutOfFold, row: int) -> Finding:
    suggested = images.classes[int(judged.likeliest[row])]
    note = f"{suggested} with a probability of {float(judged.probability[row]):.2f}"
    score = float(judged.given[row])
    return Finding(images.paths[row], images.splits[row], "label", images.label(row), suggested, score, note)
