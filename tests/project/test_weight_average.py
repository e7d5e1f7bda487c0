"""callbacks=[default,ema]: the average is what is measured and kept, and a stopped run goes on exactly."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import Train, assert_equal, go_on, outcome, signal_at
from torch import Tensor

from project.callbacks.weight_average import WeightAverage
from project.model.classifier import Classifier

EMA = [
    "callbacks=[default,ema]", "head=mlp", "head.norm=batch", "features.batch_size=8", "patience=9", "logger=none",
    "trainer.max_epochs=3",
]  # fmt: skip


def head(model: Classifier) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.head.named_parameters()}


def from_spec(
    monkeypatch: pytest.MonkeyPatch, weights: list[dict[str, Tensor]], measured: list[dict[str, Tensor]]
) -> None:
    """Note the weights behind every step, those of the beginning first, and those that are validated."""
    step, validate = Classifier.optimizer_step, Classifier.validation_step

    def noted_step(self: Classifier, *args: Any, **kwargs: Any) -> None:
        weights.extend([] if weights else [head(self)])
        step(self, *args, **kwargs)
        weights.append(head(self))

    def noted_validate(self: Classifier, *args: Any) -> None:
        measured.extend([head(self)] if weights else [])
        validate(self, *args)

    monkeypatch.setattr(Classifier, "optimizer_step", noted_step)
    monkeypatch.setattr(Classifier, "validation_step", noted_validate)


@pytest.mark.slow
def test_the_average_is_measured_kept_and_gone_on_with(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[dict[str, Tensor]] = []
    measured: list[dict[str, Tensor]] = []
    with monkeypatch.context() as patch:
        from_spec(patch, weights, measured)
        train(*EMA, "hydra.run.dir=logs/runs/whole")
    averages = weights[:1]
    for number, current in enumerate(weights[1:], start=1):
        share = 1 - (1 + number) / (10 + number)
        averages.append({name: value.lerp(current[name], share) for name, value in averages[-1].items()})
    best, last = (
        torch.load(f"logs/runs/whole/checkpoints/{name}.ckpt", weights_only=True) for name in ("best", "last")
    )
    for number, found in zip((5, 10, 15), measured[:3], strict=True):
        torch.testing.assert_close(found, averages[number])
    for checkpoint in best, last:
        kept = {name: checkpoint["state_dict"][f"head.{name}"] for name in weights[0]}
        torch.testing.assert_close(kept, averages[checkpoint["global_step"]])
    assert_equal(measured[-1], {name: best["state_dict"][f"head.{name}"] for name in weights[0]})
    going_on = last["ema"]["weights"]
    assert_equal({name: going_on[f"head.{name}"] for name in weights[0]}, weights[15])
    assert set(going_on) == {f"head.{name}" for name in (*weights[0], "0.running_mean", "0.running_var")}
    assert not [name for name in last["state_dict"] if name.startswith("backbone.")]

    with monkeypatch.context() as patch:
        signal_at(patch, 1, 2)
        with pytest.raises(SystemExit):
            train(*EMA, "hydra.run.dir=logs/runs/stopped")
    go_on(monkeypatch, "resume=logs/runs/stopped")
    stopped = Path("logs/runs/stopped")
    assert_equal(torch.load(stopped / "checkpoints/last.ckpt", weights_only=True)["ema"], last["ema"])
    assert_equal(outcome(stopped), outcome(Path("logs/runs/whole")))


def test_what_cannot_be_averaged_is_refused() -> None:
    model, trainer = (SimpleNamespace(automatic_optimization=False), SimpleNamespace())
    with pytest.raises(ValueError, match="callbacks=ema averages the steps of gradient descent: add solver=adamw"):
        WeightAverage().setup(trainer, model, "fit")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"decay=1 \(callbacks\.ema\)"):
        WeightAverage(decay=1)
