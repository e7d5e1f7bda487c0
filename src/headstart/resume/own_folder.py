"""A folder for every run and every sweep of its own, and nobody else in it as long as they last."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, read_write

from ..errors import UserError, explain
from ..files import short
from ..ranks import is_first_process, is_started_with_others
from .quoting import quoted

# A folder inside is the owner's mark; only one process can make it, on shared disks, too.
RUN, SWEEP = ".hydra", ".sweep"
LOCK = "lock"  # in there

log = logging.getLogger(__name__)

# This process's locks; not in the callback, which is sent to other processes.
_held, _held_by_job = ExitStack(), ExitStack()


class OwnFolder(Callback):
    """Gives a run, or a sweep, another folder than the one that somebody has by now, in the same second maybe.

    The name gets a number. Where `resume=` goes on, the folder is the old one, unless its run has not ended yet.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before Hydra writes anything."""
        if not is_first_process():
            with read_write(config.hydra):
                write_nothing(config.hydra)
            return
        own = _take(config.hydra.run.dir, RUN, config.resume)
        with read_write(config.hydra):
            config.hydra.run.dir = own

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before Hydra writes anything; its jobs compose their own configs, from overrides."""
        if is_started_with_others():
            sys.exit(
                "error: each process would run the whole sweep; start it once: it starts its jobs' processes itself"
            )
        own = _take(config.hydra.sweep.dir, SWEEP, config.resume)
        if own != config.hydra.sweep.dir:
            with read_write(config.hydra):
                config.hydra.sweep.dir = own
                config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(own)}")

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Let others go on with it."""
        _held.close()

    on_multirun_end = on_run_end

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Keep others out of the folder of a sweep's job; whoever is in, from a sweep that was killed, ends first.

        Jobs in other processes and on other machines don't end with the process that has sent them there.
        """
        if config.hydra.mode == RunMode.MULTIRUN and is_first_process():
            _held_by_job.enter_context(held(Path(config.hydra.runtime.output_dir), patiently=True))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Let others go on with it."""
        _held_by_job.close()


def let_go_of_job() -> None:
    """Let the processes that a sweep's job is trained by have its folder."""
    _held_by_job.close()


def write_nothing(hydra: DictConfig) -> None:
    """Have Hydra write no configs and no log: the first process does so for all.

    One that it hasn't started itself will hear of the folder in `begin`.
    """
    hydra.output_subdir = None
    if "file" in hydra.job_logging.handlers:
        hydra.job_logging.handlers.file.filename = os.devnull
    if is_started_with_others():
        hydra.run.dir = "."


def _take(folder: str, mark: str, resume: str | None) -> str:
    try:
        own = Path(folder) if resume else claim(Path(folder), mark)
        _held.enter_context(held(own, mark))
    except (OSError, UserError) as error:  # which Hydra would make a warning of
        sys.exit(f"error: {explain(error) or error}")
    if own != Path(folder):
        log.info(f"{short(folder)} is another one's: this goes to {short(own)}")
        return str(own)
    return folder


def claim(folder: Path, mark: str = RUN) -> Path:
    """Make `folder`, or the first of `folder_2`, `folder_3` and so on that nobody has; raises OSError if none can be.

    Raises UserError for a folder that the user is in, as one beside it would be a surprise.
    """
    for number in count(1):
        own = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        try:
            (own / mark).mkdir(parents=True)
        except FileExistsError:
            if Path.cwd().is_relative_to(folder.resolve()):
                raise UserError(
                    f"there is a run in {folder} already: choose another folder, or resume={folder}"
                ) from None
        else:
            return own
    raise AssertionError


@contextmanager
def held(folder: Path, mark: str = RUN, patiently: bool = False) -> Iterator[None]:
    """Keep everybody else out of a run's folder; raises UserError when another process is in, or waits for its end.

    The lock goes with the process, however it ends. On a disk that knows no locks there is none.
    """
    lock = FileLock(folder / mark / LOCK)
    try:
        (folder / mark).mkdir(parents=True, exist_ok=True)
        _acquire(lock, folder, patiently)
    except Timeout:
        raise UserError(f"{short(folder)} is still running: wait for its end, or stop it, and resume it then") from None
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path, mark: str = RUN) -> bool:
    """Whether a process is at work in the folder of a run or, with its mark, of a sweep."""
    lock = folder / mark / LOCK
    try:
        with FileLock(lock, timeout=0) if lock.exists() else nullcontext():
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False


def _acquire(lock: FileLock, folder: Path, patiently: bool) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not patiently:
            raise
        log.info(f"{short(folder)} is still running in another process: waiting for its end")
        lock.acquire(poll_interval=0.5)
