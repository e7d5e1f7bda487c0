"""Keeps TensorBoard's curves single when a run goes on from a checkpoint that is older than what was logged."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger


class OneCurve(Callback):
    """Tells TensorBoard that a session starts at this step: it drops what an earlier one logged from there on."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so at the begin of a run that goes on."""
        if trainer.global_step and trainer.is_global_zero:
            from tensorboard.compat.proto import event_pb2  # takes time to import

            proto: Any = event_pb2  # whose names are made at run time
            start = proto.Event(step=trainer.global_step, session_log=proto.SessionLog(status=proto.SessionLog.START))
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.file_writer.add_event(start)
