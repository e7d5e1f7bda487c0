"""What is done about classes that have few pictures."""

from collections import Counter

import torch
from torch import Tensor

from .table import PictureSet

BALANCE = ("none", "sampler", "weights")


def balanced_class_weights(pictures: PictureSet) -> list[float]:
    """A weight for each class, inverse to its number of training pictures: classes come to the same, pictures to 1.

    These are scikit-learn's "balanced" class weights, after King and Zeng 2001, "Logistic Regression in Rare Events
    Data". A class without training pictures weighs nothing.
    """
    counts = Counter(sample.label for sample in pictures.train)
    share = len(pictures.train) / max(len(counts), 1)
    return [share / counts[label] if counts[label] else 0.0 for label in range(len(pictures.classes))]


def balanced_picture_weights(pictures: PictureSet) -> Tensor:
    """Those of the training pictures [pictures], float64: drawn in proportion to them, all classes are as likely."""
    weights = balanced_class_weights(pictures)
    return torch.tensor([weights[sample.label] for sample in pictures.train], dtype=torch.float64)
