"""What a Trainer's limits leave to be trained, validated and measured."""

from typing import Any

from lightning.pytorch import Callback, LightningDataModule, Trainer

from .errors import UserError
from .features.cache import MEASURED_AT_ONCE, FeatureData
from .images.order import per_device
from .images.table import ImageTable


def splits_to_measure(data: LightningDataModule, trainer: Trainer) -> list[str]:
    """Those of val and test that have images, unless the Trainer is told to leave them out.

    Raises UserError for limits that leave nothing to be trained, validated or measured: Lightning would say so later,
    or never.
    """
    table = table_of(data)
    _refuse_none(trainer)
    splits = ("train", "val", "test")
    counts = {split: len(table.part(split)) for split in splits} if table else {}
    batches = {split: _batches(count, data, trainer, split == "train") for split, count in counts.items()}
    for split, number in batches.items():
        limit = getattr(trainer, f"limit_{split}_batches")
        if isinstance(limit, float) and 0 < limit * number < 1:
            overfits = getattr(trainer, "overfit_batches", 0) and split != "test"
            key = "overfit_batches" if overfits else f"limit_{split}_batches"
            raise UserError(f"+trainer.{key}={limit} of {number} is no whole batch: give a number of batches")
        if split == "train" and trainer.check_val_every_n_epoch:
            _refuse_late_validation(trainer, min(number, limit) if isinstance(limit, int) else int(number * limit))
    limits = {"val": trainer.limit_val_batches, "test": trainer.limit_test_batches}
    return [split for split, limit in limits.items() if limit and (table is None or table.has(split))]


def _batches(images: int, data: LightningDataModule, trainer: Trainer, trains: bool) -> int:
    """How many there are of so many images, on each device."""
    size = getattr(data, "batch_size", 1)
    if isinstance(data, FeatureData):
        if trains and data.full_batch:
            return data.views
        size = size if trains else MEASURED_AT_ONCE
    size = per_device(size, trainer.world_size) if trains else size
    return -(-images // (size * trainer.world_size))


def _refuse_none(trainer: Trainer) -> None:
    every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs
    for key, value in (("trainer.max_epochs", epochs), ("+trainer.max_steps", trainer.max_steps)):
        if value == 0:
            raise UserError(f"{key}=0 trains nothing: give a number from 1 up, or -1 for no such limit")
    if every and epochs and 0 < epochs < every:
        raise UserError(f"+trainer.check_val_every_n_epoch={every} of {epochs} epochs validates nothing: give less")


def _refuse_late_validation(trainer: Trainer, batches: int) -> None:
    interval = trainer.val_check_interval
    if isinstance(interval, int) and interval > batches:
        raise UserError(
            f"+trainer.val_check_interval={interval} is more than the {batches} batches of an epoch: give less, or add "
            "+trainer.check_val_every_n_epoch=null to count on from epoch to epoch"
        )


def table_of(data: LightningDataModule) -> ImageTable | None:
    """The images behind `data`, if they are known."""
    return getattr(data.images if isinstance(data, FeatureData) else data, "table", None)


class ValidateAtTheEnd(Callback):
    """Validates what `max_steps` ends in the middle of an epoch: else its weights could never be the best."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Have Lightning validate after this batch if it is the last of all."""
        if trainer.global_step == trainer.max_steps:
            trainer.val_check_batch = 1
