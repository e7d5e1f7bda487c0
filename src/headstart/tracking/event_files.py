"""TensorBoard's event files: one for a run, which Lightning would end after each of its parts."""

from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger


class EventFiles(TensorBoardLogger):
    """One event file for a run, and one more each time that it is gone on with.

    Lightning's own begins a new one after fit, validate and test, each of which ends it; and its hparams.yaml would say
    slowly what .hydra/config.yaml says.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        import_module("torch.utils.tensorboard")  # not in the middle of the first epoch, as Lightning does
        self.goes_on = any(Path(self.log_dir).glob("events.out.tfevents.*"))

    def start_again_at(self, step: int) -> None:
        """Tell TensorBoard, once, to drop what an earlier try logged from this step on, where there was one."""
        if self.goes_on:
            from tensorboard.compat.proto import event_pb2

            proto: Any = event_pb2
            start = proto.SessionLog(status=proto.SessionLog.START)
            self.experiment._get_file_writer().add_event(proto.Event(step=step, session_log=start), step)
            self.goes_on = False

    def save(self) -> None:
        """Bring what was logged to the disk."""
        if self._experiment is not None:
            self._experiment.flush()

    def finalize(self, status: str) -> None:
        """Do the same: only a part of the run is over."""
        self.save()

    def close(self) -> None:
        """End the file."""
        if self._experiment is not None:
            self._experiment.close()
