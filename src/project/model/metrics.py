"""What is measured, and which value of it is the best."""

from functools import cache

from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from .counts import BalancedAccuracy, F1Score


def metrics(num_classes: int) -> MetricCollection:
    """What is measured beside the loss: `accuracy` over images, `balanced_accuracy` and `f1` as means over classes."""
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(num_classes, average="micro"),
            "balanced_accuracy": BalancedAccuracy(num_classes, average="macro"),
            "f1": F1Score(num_classes, average="macro"),
        }
    )


@cache
def directions() -> dict[str, str]:
    """Whether the best value is the `max` or the `min`, for the loss and each of `metrics`, by name."""
    known: dict[bool | None, str] = {True: "max", False: "min"}
    own = {str(name): known.get(metric.higher_is_better) for name, metric in metrics(2).items()}
    return {"loss": "min"} | {name: best for name, best in own.items() if best}


def direction(metric: str | None) -> str | None:
    """That of `val/loss`, `train/accuracy` and so on; None for what isn't measured here."""
    return directions().get((metric or "").rpartition("/")[2])
