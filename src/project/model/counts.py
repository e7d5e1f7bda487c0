"""What torchmetrics measures, counted for thousands of classes: no matrix of all classes by all classes is made.

torchmetrics makes one for every batch, which takes 200 MB for 5,000 classes; and, on a GPU where all is to be
deterministic, as much for every image.
"""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.classification.stat_scores import MulticlassStatScores


class _ByClass(MulticlassStatScores):
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count hits and misses of each class; `preds` are logits [batch, classes]."""
        predicted = preds.argmax(dim=1)
        count = torch.zeros(self.num_classes or 0, dtype=torch.int64, device=target.device).index_add
        ones = torch.ones_like(target)
        hits, found, images = (
            count(0, target, (predicted == target).long()),
            count(0, predicted, ones),
            count(0, target, ones),
        )
        self._update_state(hits, found - hits, len(target) - found - images + hits, images - hits)


class BalancedAccuracy(_ByClass, MulticlassAccuracy):
    """The mean over classes of the fraction of their images that are found."""


class F1Score(_ByClass, MulticlassF1Score):
    """The mean over classes of the harmonic mean of precision and recall."""
