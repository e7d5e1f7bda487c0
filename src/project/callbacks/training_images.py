"""Shows a few training images as the backbone sees them: cropped, augmented and mixed, but not yet normalised."""

from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from headstart.tracking.show import Show, step_of, wanted


class TrainingImages(Callback):
    """Shows `training_images` once, before the run's first step; `plots` and `sweep_dir` say for which runs.

    Those of the first batch; where it holds features, the first training images as their features were computed from.
    """

    def __init__(self, count: int = 32, plots: bool | Literal["auto"] = True, sweep_dir: str | None = None) -> None:
        self.count, self.plots, self.sweep_dir = count, plots, sweep_dir

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Show them; a run that is gone on with has shown them."""
        shall = (
            wanted(self.plots, trainer.default_root_dir, self.sweep_dir)
            and trainer.is_global_zero
            and not step_of(trainer)
        )
        self.plots = False
        if not shall:
            return
        images, labels = (part[: self.count] for part in batch)
        if images.dtype != torch.uint8:
            source: Any = trainer.datamodule.images  # pyright: ignore[reportAttributeAccessIssue] (set by Lightning)
            rows = range(min(self.count, len(source.table.train)))
            if not rows:  # images that stream by can't be asked for
                return
            images = torch.cat([some for some, _ in source.loader("train", 0, rows, "cpu")])
        elif getattr(pl_module, "mix", None):
            with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
                images, _ = pl_module.mix(images, labels)  # pyright: ignore[reportCallIssue]
        Show(trainer, 0).images("training_images", images)
