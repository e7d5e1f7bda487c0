"""How a sweep with several jobs at once is stopped: each of them saves, and those that wait do not begin."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from types import FrameType
from typing import Any

from ...machine import SIGNALS, Interrupted

PAUSE = 5.0  # seconds

_stopped: list[Interrupted] = []  # what has ended a job in this process: then none after it begins
_busy = threading.Lock()  # while there is a job
_watch: list[threading.Thread] = []


class StoppableTask:
    """A sweep's task, whose result is the signal that ended it, where there was one.

    joblib would take an error for the end of all, and kill the others while they save.
    """

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self.task = task
        self.sweep = os.getpid()

    def __call__(self, cfg: Any) -> Any:
        """Run one job, unless a signal has ended one in this process before."""
        if os.getpid() != self.sweep and not _watch:
            _watch.append(threading.Thread(target=_leave_with, args=(self.sweep,), daemon=True))
            _watch[0].start()
        _busy.acquire()
        try:
            with handled_by(_stop):  # until the job takes them over
                return _stopped[0] if _stopped else self.task(cfg)
        except Interrupted as stop:
            _stopped.append(stop)
            return stop
        finally:
            if os.getpid() != self.sweep:  # a process that waits for its next job
                await_signals()
            _busy.release()


class WaitingJobs(list[Any]):
    """Jobs that are begun one after another, until a signal `came`."""

    def __init__(self, jobs: Any, came: list[int]) -> None:
        super().__init__(jobs)
        self.came = came

    def __iter__(self) -> Iterator[Any]:
        """Those whose turn it is."""
        return takewhile(lambda _: not self.came, super().__iter__())


def await_signals() -> None:
    """Note the signals that come while this process has no job: then it begins none."""
    _handle(_note)


def stopped_by() -> Interrupted | None:
    """The signal that has stopped this process."""
    return _stopped[0] if _stopped else None


@contextmanager
def passed_on() -> Iterator[list[int]]:
    """Pass what asks for an end on to this process's own processes, where the jobs are; yields the signals that came.

    The first ends the block with `Interrupted`, once all jobs have ended; a second Ctrl-C at once.
    """
    came: list[int] = []

    def pass_on(signum: int, _: FrameType | None) -> None:
        came.append(signum)
        if came[1:] and signum == signal.SIGINT:
            raise KeyboardInterrupt
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGTERM)  # no second Ctrl-C for those that have one from the terminal

    with handled_by(pass_on):
        try:
            yield came
        except Exception:
            if not came:
                raise  # else it is what joblib says of a process that was ended while it began
    if came:
        raise Interrupted(came[0])


@contextmanager
def handled_by(handler: Any) -> Iterator[None]:
    """Let a handler have the signals that ask for an end; in another thread than the main one nothing changes."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    _handle(handler)
    try:
        yield
    finally:
        for signum, handler in before.items():
            _handle(handler, signum)


def _handle(handler: Any, *signums: int) -> None:
    if threading.current_thread() is threading.main_thread():
        for signum in signums or SIGNALS:
            signal.signal(signum, handler)


def _stop(signum: int, _: FrameType | None) -> None:
    raise Interrupted(signum)


def _note(signum: int, _: FrameType | None) -> None:
    _stopped.append(Interrupted(signum))


def _leave_with(sweep: int) -> None:
    """End this process once the sweep's has ended, and the job that it may have had by then; joblib's wait for more."""
    while os.getppid() == sweep:
        time.sleep(PAUSE)
    with _busy:
        time.sleep(PAUSE)  # for what Hydra notes of the job
        os._exit(0)
