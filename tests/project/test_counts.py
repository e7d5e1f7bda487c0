"""What is measured is what torchmetrics measures, for thousands of classes, too."""

import pytest
import torch
from torchmetrics.functional import classification as library

from headstart.predictions import Predictions
from project.model.classifier import metrics
from project.reporting.results import confusions

SMALL = 200_000_000  # bytes: a tenth of what a matrix of all classes by all classes takes for a few images


@pytest.mark.parametrize("num_classes", [2, 3, 1000])
def test_metrics_are_those_of_torchmetrics(num_classes: int) -> None:
    rng = torch.Generator().manual_seed(num_classes)
    logits, labels = torch.randn(300, num_classes, generator=rng), torch.randint(num_classes, (300,), generator=rng)
    logits[range(150), labels[:150]] += 3
    measured = metrics(num_classes)
    for batch in torch.arange(300).split(64):
        measured.update(logits[batch], labels[batch])
    found, how = measured.compute(), {"num_classes": num_classes, "average": "macro"}
    assert float(found["accuracy"]) == pytest.approx(float((logits.argmax(dim=1) == labels).float().mean()))
    assert float(found["balanced_accuracy"]) == pytest.approx(float(library.multiclass_accuracy(logits, labels, **how)))
    assert float(found["f1"]) == pytest.approx(float(library.multiclass_f1_score(logits, labels, **how)))
    matrix = library.multiclass_confusion_matrix(logits, labels, num_classes).tolist()
    assert confusions(Predictions((), labels, logits.softmax(1)), num_classes) == {"confusion_matrix": matrix}


def test_the_memory_of_counting_grows_with_the_classes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = torch.randn(64, 5000), torch.arange(64)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)  # as on a GPU
    with torch.profiler.profile(profile_memory=True) as profiled:
        metrics(5000).update(logits, labels)
        cells = confusions(Predictions((), labels, logits.softmax(1)), 5000)["confusions"]
    assert sum(max(event.self_cpu_memory_usage, 0) for event in profiled.key_averages()) < SMALL
    assert cells == [[label, int(guess), 1] for label, guess in zip(labels.tolist(), logits.argmax(1), strict=True)]
