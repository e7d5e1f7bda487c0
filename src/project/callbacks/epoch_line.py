"""Says in one line what an epoch came to, above the progress bar and in the logs of a cluster alike."""

from lightning.pytorch import Callback, LightningModule, Trainer

from headstart.tracking.history import epoch_metrics

SHOWN = ("train/loss", "val/loss", "val/accuracy")


class EpochLine(Callback):
    """Prints `epoch 3/6  train/loss 0.1681  val/loss 0.3564  val/accuracy 0.8710` at every epoch's end."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print it through the progress bar, which would be torn by a plain print."""
        metrics = epoch_metrics(trainer)
        values = "  ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics)
        last = f"/{trainer.max_epochs}" if trainer.max_epochs != -1 else ""
        pl_module.print(f"epoch {trainer.current_epoch + 1}{last}  {values}")
