"""Objects in, score out: fit a model, then validate and test its best checkpoint."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from project.data.datamodule import ImageData
from project.model.classifier import Classifier

from .features.cache import FeatureData
from .tracking.stopwatch import Stopwatch
from .tracking.training_means import TrainingMeans


@dataclass(frozen=True)
class Result:
    """What a run came to. `score` is the monitored metric of the best checkpoint, or of the last weights without one.

    `metrics` are those of the same weights on the validation and test images; `confusion_matrix` counts test
    images, [true class][predicted class].
    """

    score: float
    monitor: str
    best_checkpoint: str | None
    metrics: dict[str, float]
    confusion_matrix: list[list[int]]
    seconds: dict[str, float]
    images_per_second: float
    skipped_images: int = 0


def fit(
    model: Classifier, data: LightningDataModule, trainer: Trainer, resume_from: str | Path | None = None
) -> Result:
    """Train `model` (from the checkpoint `resume_from` on, if given), and measure the best of it.

    Raises:
        UserError: the checkpoint to resume from belongs to another backbone.
    """
    stopwatch = Stopwatch()
    if isinstance(data, FeatureData) and not data.live:
        trainer.num_sanity_val_steps = 0  # pyright: ignore[reportAttributeAccessIssue] (an epoch is soon over)
    trainer.callbacks[:0] = [TrainingMeans(), stopwatch]  # pyright: ignore[reportAttributeAccessIssue] (Lightning sets it by a mixin)
    trainer.fit(model, datamodule=data, ckpt_path=resume_from, weights_only=True)
    kept = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    best = (kept[0].best_model_path if kept else "") or None
    metrics = measure(model, data, trainer, best)
    return Result(
        score=metrics[model.monitor],
        monitor=model.monitor,
        best_checkpoint=best,
        metrics=metrics,
        confusion_matrix=model.confusion_matrix.compute().tolist(),
        seconds=({"features": data.seconds} if isinstance(data, FeatureData) else {}) | stopwatch.seconds,
        images_per_second=stopwatch.images_per_second,
        skipped_images=_skipped(data),
    )


def fit_head(model: Classifier, head_model: Classifier, data: FeatureData, trainer: Trainer) -> float:
    """Train the head of `head_model` on features, and give the best of it to `model`; returns the seconds it took."""
    started = time.perf_counter()
    trainer.fit(head_model, datamodule=data)
    kept = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    if kept and kept[0].best_model_path:
        head_model = type(head_model).load_from_checkpoint(kept[0].best_model_path)
    model.head.load_state_dict(head_model.head.state_dict())
    return time.perf_counter() - started


def _skipped(data: LightningDataModule) -> int:
    images = data.images if isinstance(data, FeatureData) else data
    return images.table.skipped if isinstance(images, ImageData) and images.table else 0


def measure(
    model: Classifier,
    data: LightningDataModule,
    trainer: Trainer,
    checkpoint: str | None = None,
    splits: Sequence[str] = ("val", "test"),
) -> dict[str, float]:
    """Metrics by name of the weights in `checkpoint`, or of those that `model` holds."""
    phases = {"val": trainer.validate, "test": trainer.test}
    metrics: dict[str, float] = {}
    for split in splits:
        found = phases[split](model, datamodule=data, ckpt_path=checkpoint, weights_only=True, verbose=False)
        metrics |= {name: float(value) for name, value in found[0].items()}
        checkpoint = None  # the model holds them now
    return metrics
