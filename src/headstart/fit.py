"""Objects in, metrics out: fit a model, then validate and test its best checkpoint."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from .features.cache import FeatureData
from .tracking.training_means import TrainingMeans


@dataclass(frozen=True)
class Fitted:
    """What a fit came to: `metrics` are those of the best checkpoint (of the last weights without one)."""

    metrics: dict[str, float]
    best_checkpoint: str | None
    seconds: dict[str, float]
    images_per_second: float
    skipped_images: int = 0


def fit(
    model: LightningModule,
    data: LightningDataModule,
    trainer: Trainer,
    resume_from: str | Path | None = None,
) -> Fitted:
    """Train `model` (from the checkpoint `resume_from` on, if given), and measure the best of it.

    Raises:
        UserError: the checkpoint to resume from belongs to another backbone.
    """
    stopwatch = Stopwatch()
    if isinstance(data, FeatureData) and not data.live:
        trainer.num_sanity_val_steps = 0  # pyright: ignore[reportAttributeAccessIssue] (an epoch is soon over)
    trainer.callbacks[:0] = [TrainingMeans(), stopwatch]  # pyright: ignore[reportAttributeAccessIssue] (Lightning sets it by a mixin)
    trainer.fit(model, datamodule=data, ckpt_path=resume_from, weights_only=True)
    best = best_checkpoint(trainer)
    metrics = measure(model, data, trainer, best)
    images = data.images if isinstance(data, FeatureData) else data
    table = getattr(images, "table", None)
    return Fitted(
        metrics=metrics,
        best_checkpoint=best,
        seconds=({"features": data.seconds} if isinstance(data, FeatureData) else {}) | stopwatch.seconds,
        images_per_second=stopwatch.images_per_second,
        skipped_images=table.skipped if table else 0,
    )


def fit_head(head: nn.Module, head_model: LightningModule, data: FeatureData, trainer: Trainer) -> None:
    """Train `head_model`, a model with a head like `head`, on features, and give the best of its head to `head`."""
    trainer.fit(head_model, datamodule=data)
    if best := best_checkpoint(trainer):
        head_model = type(head_model).load_from_checkpoint(best)
    head.load_state_dict(head_model.get_submodule("head").state_dict())


def best_checkpoint(trainer: Trainer) -> str | None:
    """The path of the first ModelCheckpoint's best; None where nothing was kept."""
    kept = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    return (kept[0].best_model_path if kept else "") or None


def measure(
    model: LightningModule,
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


class Stopwatch(Callback):
    """`seconds` by phase (fit, validate, test), and `images` that were seen while fitting, over all devices."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.images = 0
        self._started = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start the watch of a phase."""
        self._started = time.perf_counter()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop it; resumed phases add up."""
        elapsed = time.perf_counter() - self._started
        self.seconds[stage] = self.seconds.get(stage, 0.0) + elapsed

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch of training images."""
        self.images += len(batch[1]) * trainer.world_size

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch of validation images, those of the sanity check and of the final validation not."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.images += len(batch[1]) * trainer.world_size

    def state_dict(self) -> dict[str, float]:
        """What a run that goes on counts on from: its time of fitting so far, and the images."""
        return {
            "seconds": self.seconds.get("fit", 0.0) + time.perf_counter() - self._started,
            "images": self.images,
        }

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Count on, where nothing has been counted yet."""
        if "fit" not in self.seconds:
            self.seconds["fit"], self.images = state_dict["seconds"], int(state_dict["images"])

    @property
    def images_per_second(self) -> float:
        """Training and validation images per second of fitting."""
        return self.images / self.seconds["fit"] if self.seconds.get("fit") else 0.0
