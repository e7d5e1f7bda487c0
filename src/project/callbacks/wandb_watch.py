"""Lets W&B watch the model, by hooks of its own: gradients and weights as often as it is told."""

from typing import Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger


class WandbWatch(Callback):
    """`wandb.watch` for as long as a fit takes; see its documentation for `log` and `log_freq`."""

    def __init__(self, log: Literal["gradients", "parameters", "all"] = "gradients", log_freq: int = 100) -> None:
        self.log_, self.log_freq = log, log_freq

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, WandbLogger):
                logger.watch(pl_module, self.log_, self.log_freq, log_graph=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End: hooks on a model that goes on living would log what it does later."""
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, WandbLogger):
                logger.experiment.unwatch(pl_module)
