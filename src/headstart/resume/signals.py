"""How a run is asked to stop: by SIGTERM, SIGUSR1 or SIGUSR2 from a scheduler, and by Ctrl-C."""

import atexit
import multiprocessing
import os
import signal
import threading
from functools import cache
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))  # Windows knows the first two


class Interrupted(SystemExit):
    """A signal ended the run. Its exit code is 128 + the signal's number, as shells and schedulers know it."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)


class StopRequest:
    """Notes the first signal that asks for an end. While `deferred`, somebody looks at `signum` and acts on it.

    At any other time the run has nothing to save, and ends at once, by `Interrupted`. A second Ctrl-C always ends
    the process on the spot.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.deferred = False
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
        if self.signum is not None:
            if signum == signal.SIGINT:
                os._exit(128 + signum)
            return  # some schedulers send several, and all mean the same
        self.signum = signum
        if not self.deferred:
            raise Interrupted(signum)
        # Not by logging: the signal may have come in the middle of a line.
        os.write(2, f"{signal.Signals(signum).name}: stopping at the next step\n".encode())


def ignore_signals(worker: int = 0) -> None:  # noqa: ARG001 (its number)
    """For worker processes: Ctrl-C and schedulers reach them, too, but it is the main process that ends them."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@cache
def end_workers_at_exit() -> None:
    """See to it that they end with this process: at its exit, Python asks them by the signal that they ignore."""
    atexit.register(lambda: [child.kill() for child in multiprocessing.active_children() if child.daemon])
