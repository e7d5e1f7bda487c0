"""What is measured on validation and test images, besides the loss."""

from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

METRICS = ("loss", "accuracy", "balanced_accuracy", "f1")


def classification_metrics(num_classes: int) -> MetricCollection:
    """`accuracy` over images, `balanced_accuracy` (its mean over classes) and macro `f1`, right across devices."""
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(num_classes, average="micro"),
            "balanced_accuracy": MulticlassAccuracy(num_classes, average="macro"),
            "f1": MulticlassF1Score(num_classes, average="macro"),
        }
    )
