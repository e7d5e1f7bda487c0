"""What is done about classes that have few images."""

from collections import Counter

import torch
from torch import Tensor

from .table import ImageTable

BALANCE = ("none", "sampler", "weights")


def balanced_class_weights(table: ImageTable) -> list[float]:
    """A weight for each class, inverse to its number of training images: classes come to the same, images to 1.

    These are scikit-learn's "balanced" class weights, after King and Zeng 2001, "Logistic Regression in Rare Events
    Data". A class without training images weighs nothing.
    """
    counts = Counter(sample.label for sample in table.train)
    share = len(table.train) / max(len(counts), 1)
    return [share / counts[label] if counts[label] else 0.0 for label in range(len(table.classes))]


def balanced_sample_weights(table: ImageTable) -> Tensor:
    """Those of the training images [images], float64: drawn in proportion to them, all classes are as likely."""
    weights = balanced_class_weights(table)
    return torch.tensor([weights[sample.label] for sample in table.train], dtype=torch.float64)
