"""Keeps `checkpoints/last.ckpt`, from which a run goes on as if it had never stopped."""

import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.loops.loop import _Loop

from ..errors import UserError
from .checkpoints import refuse_what_cant_be_loaded
from .steps import refuse_bad_weights, remedy_for

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
        self._cut: dict[str, Any] | None = None  # where an epoch stands that may end in its middle
        self._measured: dict[str, float] = {}  # before a run was gone on with

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let the limits of early stopping hold that are said now, and forget an end that was due to others."""
        self._measured = checkpoint.get("measured", {})
        for stopping in trainer.early_stopping_callbacks:
            state = checkpoint["callbacks"].get(stopping.state_key)
            if state and state.get("limits") != _limits(stopping):
                waited = state["wait_count"] >= max(stopping.patience, 1)
                reason = EarlyStoppingReason.PATIENCE_EXHAUSTED if waited else EarlyStoppingReason.NOT_STOPPED
                state |= {"patience": stopping.patience, "stopping_reason": reason.value}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what was measured, by which limits early stopping went, and where an epoch stands that may end here."""
        checkpoint["measured"] = {name: float(value) for name, value in trainer.callback_metrics.items()}
        for stopping in trainer.early_stopping_callbacks:
            checkpoint["callbacks"][stopping.state_key]["limits"] = _limits(stopping)
        if self._cut:
            checkpoint["loops"]["fit_loop"] = self._cut

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; a run that early stopping had ended stays ended, unless its limits are others now."""
        self._saved_at = time.monotonic()
        self._rehearse(trainer)
        reasons = [stopping.stopping_reason for stopping in trainer.early_stopping_callbacks]
        trainer.should_stop |= any(reason != EarlyStoppingReason.NOT_STOPPED for reason in reasons)
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in self._measured.items()})

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Forget where the last batch stood."""
        self._cut = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what the last epoch came to, with everything that looked at its score at its end."""
        # Else, after reading a checkpoint of this kind, Lightning 2.6 takes the epoch that ended for one to go on with.
        _go_on_plainly(trainer)
        if time.monotonic() - self._saved_at >= min(BETWEEN_EPOCHS, self.minutes * 60):
            self.save(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save in long epochs; also before the last step, so that a long validation needn't be waited for."""
        _go_on_plainly(trainer)  # else Lightning 2.6 leaves ReduceLROnPlateau out at this epoch's end
        may_end = trainer.should_stop or trainer.global_step == trainer.max_steps or self.validates_after(trainer)
        if may_end and self.is_between_steps(trainer, batch_idx):
            self._cut = trainer.fit_loop.state_dict()
        before_last = batch_idx + 2 == trainer.num_training_batches
        limit = min(BETWEEN_EPOCHS if before_last else math.inf, self.minutes * 60)
        if time.monotonic() - self._saved_at >= limit and self.may_save_after(trainer, batch_idx):
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end: a run that is killed while it is measured needs no more training."""
        self.save(trainer)

    def may_save_after(self, trainer: Trainer, batch_idx: int) -> bool:
        """Whether Lightning goes on exactly from behind this batch: not from where a validation is due."""
        return self.is_between_steps(trainer, batch_idx) and not self.validates_after(trainer)

    @staticmethod
    def validates_after(trainer: Trainer) -> bool:
        """Whether a validation is due behind the present batch, by the number of batches."""
        loop, every = trainer.fit_loop, trainer.val_check_batch
        done = 1 + (loop.total_batch_idx if trainer.check_val_every_n_epoch is None else loop.batch_idx)
        return bool(every) and done % every == 0

    @staticmethod
    def is_between_steps(trainer: Trainer, batch_idx: int) -> bool:
        """Whether the epoch goes on behind this batch, with another step.

        A model that wants the whole set has done nothing before the last batch.
        """
        is_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        whole_set = getattr(trainer.lightning_module, "full_batch", False)
        return is_step and not (trainer.is_last_batch or whole_set)

    def save(self, trainer: Trainer) -> None:
        """Save now, on all devices; the older ones move down. Raises UserError when the weights aren't finite."""
        if trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue] (Lightning sets it by a mixin)
            return
        refuse_bad_weights(trainer.lightning_module, remedy_for(trainer))
        trainer.save_checkpoint(self.dirpath / "next.ckpt", weights_only=False)
        self._move_down(trainer)
        trainer.strategy.barrier("last.ckpt is in its place")
        self._saved_at = time.monotonic()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish what a kill broke off: a run that had ended by then trains, and saves, no more."""
        if (self.dirpath / "next.ckpt").exists():
            self._move_down(trainer)

    def _rehearse(self, trainer: Trainer) -> None:
        """Raise UserError where the state of a callback, an optimizer or a scheduler could be saved, but not loaded."""
        states = {f"callback {one.state_key}": one.state_dict() for one in trainer.callbacks}  # pyright: ignore[reportAttributeAccessIssue]
        states |= {f"optimizer {type(one).__name__}": one.state_dict()["param_groups"] for one in trainer.optimizers}
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        states |= {f"scheduler {type(one).__name__}": one.state_dict() for one in schedulers}
        refuse_what_cant_be_loaded(states, (), "this run")

    def _move_down(self, trainer: Trainer) -> None:
        """A kill between any two of these moves leaves all checkpoints, under one name or another."""
        names = ["next.ckpt", "last.ckpt", *(f"last-{number}.ckpt" for number in range(1, self.keep))]
        for newer, older in reversed(list(pairwise(names))) if trainer.is_global_zero else ():
            if (self.dirpath / newer).exists():
                (self.dirpath / newer).replace(self.dirpath / older)


def _limits(stopping: EarlyStopping) -> dict[str, Any]:
    """What decides when early stopping ends a run."""
    names = ("patience", "min_delta", "stopping_threshold", "divergence_threshold", "check_finite")
    return {name: getattr(stopping, name) for name in names}


def _go_on_plainly(trainer: Trainer) -> None:
    """Tell Lightning that nothing has to be made up for; its own setter says the contrary with `max_steps`."""
    _Loop.restarting.fset(trainer.fit_loop, False)  # pyright: ignore[reportOptionalCall]
