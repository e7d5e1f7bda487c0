"""Loss and accuracy over an epoch's training batches, summed here and logged once.

Lightning's own bookkeeping of a value that is logged for every batch takes longer than the batch of a linear head.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

KEY = "training_means"


class TrainingMeans(Callback):
    """Logs `train/loss` and `train/accuracy`, each image weighing the same, over all devices.

    Stands before every callback that reads them. A training step returns `loss` (a mean), `hits` and `images`.
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
            sums = trainer.strategy.all_gather(self.sums)
            checkpoint[KEY] = sums.view(-1, 3).cpu()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on with them; the first device takes all, when there are more or fewer devices now."""
        rows = checkpoint.get(KEY)
        if rows is not None:
            if len(rows) != trainer.world_size:
                rows = torch.stack([rows.sum(dim=0), *[torch.zeros(3)] * (trainer.world_size - 1)])
            self.sums = rows[trainer.global_rank].to(trainer.strategy.root_device)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log them, and start anew."""
        if self.sums is not None:
            loss, hits, images = trainer.strategy.reduce(self.sums, reduce_op="sum")
            pl_module.log_dict({"train/loss": loss / images, "train/accuracy": hits / images})
        self.sums = None
