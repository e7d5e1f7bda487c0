"""Objects in, metrics out: fit a model, then validate and test its best checkpoint."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from .errors import UserError
from .features.cache import FeatureData
from .gradients import GradientForAll
from .limits import ValidateAtTheEnd, splits_to_measure, table_of
from .predictions import NotePredictions, Predictions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """What a fit came to: `metrics` are those of the best checkpoint (of the last weights without one).

    `predictions` are by split, of val and test.
    """

    metrics: dict[str, float]
    best_checkpoint: str | None
    seconds: dict[str, float]
    images_per_second: float
    skipped_images: int = 0
    fixes: Mapping[str, int] = field(default_factory=dict)  # images that were relabelled and dropped by data.fixes
    predictions: dict[str, Predictions] = field(default_factory=dict, repr=False)
    status: str = "finished"  # or "pruned": a search has ended it, as others had come further by then


def fit(model: LightningModule, data: LightningDataModule, trainer: Trainer, resume_from: Path | None = None) -> Fitted:
    """Train `model`, from the checkpoint `resume_from` on if given, and measure the best of it, in splits with images.

    Raises UserError when the checkpoint to resume from belongs to another backbone, or a limit leaves nothing to
    measure.
    """
    splits = splits_to_measure(data, trainer)
    stopwatch, noted = Stopwatch(), NotePredictions()
    if isinstance(data, FeatureData) and not data.live:
        trainer.num_sanity_val_steps = 0  # pyright: ignore[reportAttributeAccessIssue] (an epoch is soon over)
    ours = [TrainingMeans(), GradientForAll(), stopwatch, noted, ValidateAtTheEnd()]
    trainer.callbacks[:0] = ours  # pyright: ignore[reportAttributeAccessIssue] (Lightning sets it by a mixin)
    trainer.fit(model, datamodule=data, ckpt_path=resume_from, weights_only=True)
    best = best_checkpoint(trainer)
    if not best and any(getattr(callback, "save_top_k", 0) for callback in trainer.checkpoint_callbacks):
        log.warning("nothing was validated, and no best.ckpt kept: what is measured are the last weights")
    all_callbacks: list[Any] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
    loggers, trainer.loggers = trainer.loggers, []  # the curve of val/ is the training's alone; see `log_score`
    metrics = measure(model, data, trainer, best, splits)
    trainer.loggers = loggers
    table = table_of(data)
    return Fitted(
        metrics=metrics,
        best_checkpoint=best,
        seconds=({"features": data.seconds} if isinstance(data, FeatureData) else {}) | stopwatch.seconds,
        images_per_second=stopwatch.images / stopwatch.seconds["fit"],
        skipped_images=table.skipped if table else 0,
        fixes=table.fixes if table else {},
        predictions=noted.splits,
        status="pruned" if any(getattr(one, "pruned", False) for one in all_callbacks) else "finished",
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
        if not found:
            raise UserError(f"trainer.limit_{split}_batches leaves nothing to measure")
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
        self.seconds[stage] = self._elapsed(stage)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count a batch of training images."""
        self.images += len(batch[1]) * trainer.world_size

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count a batch of validation images, those of the sanity check and of the final validation not."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.images += len(batch[1]) * trainer.world_size

    def state_dict(self) -> dict[str, float]:
        """What a run that goes on counts on from: its time of fitting so far, and the images."""
        return {"seconds": self._elapsed("fit"), "images": self.images}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Count on, where nothing has been counted yet."""
        if "fit" not in self.seconds:
            self.seconds["fit"], self.images = state_dict["seconds"], int(state_dict["images"])

    def _elapsed(self, stage: str) -> float:
        return self.seconds.get(stage, 0.0) + time.perf_counter() - self._started


class TrainingMeans(Callback):
    """Logs `train/loss` and `train/accuracy`, each image weighing the same, over all devices.

    Stands before every callback that reads them. A training step returns `loss` (a mean), `hits` and `images`. They are
    summed here and logged once: Lightning's own bookkeeping of a value that is logged for every batch takes longer than
    the batch of a linear head.
    """

    def __init__(self) -> None:
        self.sums: Tensor | None = None  # of this epoch's losses, hits and images, on this device

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add a batch, without waiting for the device."""
        if isinstance(outputs, Mapping) and "images" in outputs:
            loss, hits, images = outputs["loss"].detach(), outputs["hits"], outputs["images"]
            if pl_module.automatic_optimization:  # Lightning has divided it by how many batches make a step
                loss = loss * trainer.accumulate_grad_batches
            sums = torch.stack([loss.float() * images, hits.float(), torch.full_like(loss, images).float()])
            self.sums = sums if self.sums is None else self.sums + sums

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep every device's sums: in the middle of an epoch, they are all that is known of its first half."""
        if self.sums is not None:
            checkpoint["training_means"] = trainer.strategy.all_gather(self.sums).view(-1, 3).cpu()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on with them; the first device takes all, when there are more or fewer devices now."""
        rows = checkpoint.get("training_means")
        if rows is not None:
            if len(rows) != trainer.world_size:
                rows = torch.stack([rows.sum(dim=0), *[torch.zeros(3)] * (trainer.world_size - 1)])
            self.sums = rows[trainer.global_rank].to(trainer.strategy.root_device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start anew; not sooner, as an epoch that `max_steps` ends in its middle may be gone on with."""
        self.sums = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log them."""
        if self.sums is not None:
            loss, hits, images = trainer.strategy.reduce(self.sums, reduce_op="sum")
            means = {"train/loss": loss / images, "train/accuracy": hits / images}
            pl_module.log_dict(means, sync_dist=True)  # equal everywhere already, but Lightning can't know
