"""Keeps `checkpoints/last.ckpt`, from which a run goes on as if it had never stopped."""

import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from ..errors import UserError
from .steps import refuse_bad_weights

BETWEEN_EPOCHS = 10.0  # seconds that must have passed: an epoch of features is repeated faster than it is saved


class LastCheckpoint(Checkpoint):
    """Saves the whole state of training at places from which Lightning goes on exactly, see `may_save_after`.

    That is every `minutes`, and between two epochs and before an epoch's last step when the last time was ten
    seconds ago or more, and at the end. `last-1.ckpt` and so on are the ones before, `keep` in all.
    """

    def __init__(self, dirpath: str | Path, minutes: float = 10.0, keep: int = 2) -> None:
        if minutes <= 0 or keep < 1:
            raise UserError(f"minutes={minutes} keep={keep} (callbacks.last_checkpoint): give numbers above 0")
        self.dirpath, self.minutes, self.keep = Path(dirpath), minutes, keep
        self._saved_at = 0.0

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let a patience that was changed now hold: Lightning would take the one in the checkpoint."""
        for stopping in trainer.early_stopping_callbacks:
            checkpoint["callbacks"].get(stopping.state_key, {})["patience"] = stopping.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; a run that early stopping had ended stays ended, unless its patience was raised."""
        self._saved_at = time.monotonic()
        trainer.should_stop = any(s.wait_count >= s.patience for s in trainer.early_stopping_callbacks)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what the last epoch came to, with everything that looked at its score at its end."""
        # Else, after reading a checkpoint of this kind, Lightning 2.6 takes the epoch that ended for one to go on with.
        trainer.fit_loop.restarting = False
        if time.monotonic() - self._saved_at >= min(BETWEEN_EPOCHS, self.minutes * 60):
            self.save(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save in long epochs; also before the last step, so that a long validation needn't be waited for."""
        trainer.fit_loop.restarting = False  # else Lightning 2.6 leaves ReduceLROnPlateau out at this epoch's end
        before_last = batch_idx + 2 == trainer.num_training_batches
        limit = min(BETWEEN_EPOCHS if before_last else math.inf, self.minutes * 60)
        if time.monotonic() - self._saved_at >= limit and self.may_save_after(trainer, batch_idx):
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end: a run that is killed while it is measured needs no more training."""
        self.save(trainer)

    def may_save_after(self, trainer: Trainer, batch_idx: int) -> bool:
        """Whether Lightning goes on exactly from behind this batch.

        It doesn't from where a validation is due, nor between the batches of one step; and a model that
        wants the whole set has done nothing before the last batch.
        """
        done = batch_idx + 1
        validates = trainer.val_check_batch and done % trainer.val_check_batch == 0
        is_step = done % trainer.accumulate_grad_batches == 0
        whole_set = getattr(trainer.lightning_module, "full_batch", False)
        return is_step and not (validates or trainer.is_last_batch or whole_set)

    def save(self, trainer: Trainer) -> None:
        """Save now, on all devices; the older ones move down. Raises UserError when the weights aren't finite."""
        if trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue] (Lightning sets it by a mixin)
            return
        refuse_bad_weights(trainer.lightning_module)
        trainer.save_checkpoint(self.dirpath / "next.ckpt", weights_only=False)
        self._move_down(trainer)
        trainer.strategy.barrier("last.ckpt is in its place")
        self._saved_at = time.monotonic()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish what a kill broke off: a run that had ended by then trains, and saves, no more."""
        if (self.dirpath / "next.ckpt").exists():
            self._move_down(trainer)

    def _move_down(self, trainer: Trainer) -> None:
        """A kill between any two of these moves leaves all checkpoints, under one name or another."""
        names = ["next.ckpt", "last.ckpt", *(f"last-{number}.ckpt" for number in range(1, self.keep))]
        for newer, older in reversed(list(pairwise(names))) if trainer.is_global_zero else ():
            if (self.dirpath / newer).exists():
                (self.dirpath / newer).replace(self.dirpath / older)
