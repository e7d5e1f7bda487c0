"""Shows how the trained weights and their gradients are distributed, epoch by epoch."""

from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from headstart.tracking.show import Show, step_of, wanted


class Histograms(Callback):
    """Shows `weights/NAME` and `gradients/NAME` of every trained parameter after each epoch's last step.

    `plots` and `sweep_dir` say for which runs.
    """

    def __init__(self, plots: bool | Literal["auto"] = True, sweep_dir: str | None = None) -> None:
        self.plots, self.sweep_dir = plots, sweep_dir

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show them, where a logger can and they are here: not a sharded model's. A validation forgets gradients."""
        whole = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        if not trainer.is_last_batch or not whole or not wanted(self.plots, trainer.default_root_dir, self.sweep_dir):
            return
        show = Show(trainer, step_of(trainer))
        if show.anywhere:
            for name, weight in pl_module.named_parameters():
                if weight.requires_grad:
                    show.histogram(f"weights/{name}", weight)
                    if weight.grad is not None:
                        show.histogram(f"gradients/{name}", weight.grad)
