"""The YAML at the head of a model card, by which the Hub files the model."""

import math
from typing import TYPE_CHECKING, Any

from ....errors import printable

if TYPE_CHECKING:
    from .card import Card

TASK = "image-classification"
METRICS = ("accuracy", "balanced_accuracy", "f1", "precision", "recall")  # of those, what the run has measured


def header(card: "Card", known: dict[str, Any], library: str) -> str:
    """Licence, library, tags, task, metrics and the model's scores, between lines of `---`."""
    from huggingface_hub import EvalResult, ModelCardData

    split = card.split or "test"
    found = {name: known["metrics"].get(f"{split}/{name}") for name in METRICS}
    scores = {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}
    dataset: dict[str, Any] = {
        "dataset_type": "imagefolder",
        "dataset_name": f"its own {split} images",
        "dataset_split": split,
    }
    data = ModelCardData(
        license=printable(card.license),
        library_name=library,
        pipeline_tag=TASK,
        tags=list(dict.fromkeys([TASK, library, "transfer-learning"])),
        metrics=list(scores) or None,  # the Hub takes no empty list for a model's index
        model_name=printable(card.title),
        eval_results=[
            EvalResult(task_type=TASK, metric_type=name, metric_value=value, **dataset)
            for name, value in scores.items()
        ]
        or None,
    )
    return f"---\n{data.to_yaml()}\n---"
