"""Measures where the time of a run goes, and how many images went through it."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


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
