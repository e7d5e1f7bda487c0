"""Whether classes are large enough, and whether splits are alike in their classes and their brightness."""

from math import sqrt
from typing import Any

import torch
from torch import Tensor

from .examined import Examined

FEW = 10  # training images of a class
UNLIKELY = 0.001  # chance of a difference, from which on it is named
OTHER_LIGHT = 0.3  # of brightness: a small to medium effect, in standard deviations (Cohen 1988)


def small_classes(images: Examined) -> dict[str, int]:
    """The training images of each class that has few."""
    counts = torch.bincount(images.labels[images.rows("train")], minlength=len(images.classes))
    return {name: count for name, count in zip(images.classes, counts.tolist(), strict=True) if count < FEW}


def class_shares(images: Examined) -> dict[str, Any]:
    """Pearson's chi-squared test of whether the class shares of the splits differ: chi2, dof, p, and the worst class.

    The worst is the class and split with the largest part in chi2, with its share there and in all images.
    """
    splits = list(dict.fromkeys(images.splits))
    counts = torch.stack([torch.bincount(images.labels[images.rows(s)], minlength=len(images.classes)) for s in splits])
    chi2, dof, p, parts = chi_squared(counts)
    found: dict[str, Any] = {"chi2": chi2, "dof": dof, "p": p, "differ": p < UNLIKELY}
    if found["differ"]:
        split, label = divmod(int(parts.argmax()), len(images.classes))
        there, everywhere = counts[split, label] / counts[split].sum(), counts[:, label].sum() / counts.sum()
        found |= {"split": splits[split], "class": images.classes[label]}
        found |= {"share": float(there), "share_of_all": float(everywhere)}
    return found


def chi_squared(counts: Tensor) -> tuple[float, int, float, Tensor]:
    """The statistic, degrees of freedom, p and every cell's part, of a table of counts [rows, columns]."""
    counts = counts.double()
    kept = counts[counts.sum(dim=1) > 0][:, counts.sum(dim=0) > 0]
    dof = (kept.shape[0] - 1) * (kept.shape[1] - 1)
    expected = counts.sum(dim=1, keepdim=True) * counts.sum(dim=0, keepdim=True) / counts.sum()
    parts = torch.where(expected > 0, (counts - expected).square() / expected.clamp_min(1e-300), 0.0)
    chi2 = float(parts.sum())
    p = float(torch.special.gammaincc(torch.tensor(dof / 2).double(), torch.tensor(chi2 / 2).double())) if dof else 1.0
    return chi2, dof, p, parts


def brightness(images: Examined) -> dict[str, Any]:
    """The mean brightness by split, from 0 to 255, and those that differ from the training images."""
    values: dict[str, list[int]] = {}
    for path, split in zip(images.paths, images.splits, strict=True):
        if look := images.checked.looks.get(path):
            values.setdefault(split, []).append(look.brightness)
    tensors = {split: torch.tensor(some).double() for split, some in values.items()}
    means = {split: float(some.mean()) for split, some in tensors.items()}
    return {"mean": means, "differ": [split for split in means if split != "train" and _differs(tensors, split)]}


def _differs(values: dict[str, Tensor], split: str) -> bool:
    """Whether the effect is large enough to matter, and too large for chance (Welch's t above 3.3)."""
    one, other = values.get("train", torch.empty(0)), values[split]
    if min(len(one), len(other)) < 2:
        return False
    apart = abs(float(one.mean() - other.mean()))
    spread, error = sqrt((one.var() + other.var()) / 2), sqrt(one.var() / len(one) + other.var() / len(other))
    return apart > OTHER_LIGHT * spread and apart > 3.3 * error
