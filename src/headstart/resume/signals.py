"""How a run is asked to stop, by SIGTERM, SIGUSR1 or SIGUSR2 from a scheduler or by Ctrl-C, and how it does so."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ..machine import SIGNALS, Interrupted
from .last_checkpoint import LastCheckpoint

PATIENCE = 5.0  # seconds: a validation that takes longer is broken off, and done again when the run goes on


class StopRequest:
    """Notes the first signal that asks for an end. While `deferred`, somebody looks at `signum` and acts on it.

    At any other time the run has nothing to save, and ends at once, by `Interrupted`. A second Ctrl-C always ends
    the process on the spot. `pass_on` is told of each signal where another process does the work.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.deferred = False
        self.pass_on: Callable[[int], None] | None = None
        self.position: tuple[int, int] = (0, 0)  # whole epochs and steps that were done when the run stopped for it

    def listen(self) -> None:
        """Take the signals over from whoever has them; only the main thread can, and in others nothing changes."""
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                signal.signal(signum, self._on_signal)

    def check(self) -> None:
        """Raise `Interrupted` if a signal came."""
        if self.signum is not None:
            raise Interrupted(self.signum)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self.pass_on:
            self.pass_on(signum)
        if self.signum is not None:
            if signum == signal.SIGINT:
                os._exit(128 + signum)
            return  # some schedulers send several, and all mean the same
        self.signum = signum
        if not self.deferred:
            raise Interrupted(signum)
        if not self.pass_on:  # else the other process says so
            # Not by logging: the signal may have come in the middle of a line.
            os.write(2, f"{signal.Signals(signum).name}: stopping at the next step\n".encode())


class StopOnSignal(Callback):
    """Ends training at the next step when `request` asks for it, with a checkpoint from which it goes on exactly.

    With several devices all stop, whichever of them got the signal.
    """

    def __init__(self, request: StopRequest) -> None:
        self.request = request
        self._broken_off_after = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on a signal waits for the end of a step."""
        self.request.listen()  # Lightning has just put its own handlers in place, which save nothing
        self.request.deferred = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save and stop here, unless the epoch's end is nearer than a good place to go on from."""
        self._stop_if_asked(trainer, batch_idx)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save and stop between two epochs."""
        self._stop_if_asked(trainer, None)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Wait for a short validation, and break a long one off."""
        if self.request.signum is not None:
            self._broken_off_after = self._broken_off_after or time.monotonic() + PATIENCE
            if time.monotonic() > self._broken_off_after:
                raise Interrupted(self.request.signum)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals back from Lightning, which takes them whenever a Trainer begins something."""
        self.request.listen()

    on_test_start = on_validation_start

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training is over, and about to be saved."""
        self.request.deferred = False

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training is saved."""
        self.request.check()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Whatever ends training, a signal needn't wait any more; other devices' processes are told of it."""
        self.request.deferred = False
        self.request.position = (trainer.current_epoch, trainer.global_step)
        launcher = trainer.strategy.launcher
        if isinstance(exception, Interrupted) and hasattr(launcher, "kill"):
            launcher.kill(signal.SIGTERM)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]

    def _stop_if_asked(self, trainer: Trainer, batch_idx: int | None) -> None:
        is_asked = trainer.strategy.reduce_boolean_decision(self.request.signum is not None, all=False)
        savers = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint)]
        if is_asked and (batch_idx is None or all(saver.may_save_after(trainer, batch_idx) for saver in savers)):
            for saver in savers:
                saver.save(trainer)
            self.request.signum = self.request.signum or signal.SIGTERM  # when it was another device that got it
            self.request.check()
