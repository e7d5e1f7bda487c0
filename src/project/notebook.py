"""A run without a command line, as in a notebook: `train(compose("data=folder", "data.root=~/pictures"))`.

It is the owner's, as what it trains is: the engine never imports this package. docs/notebook.ipynb shows it.
"""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, read_write

from headstart.errors import UserError, explain
from headstart.files import short
from headstart.machine import SIGNALS, quick_imports, terminal
from headstart.resume.command_line import check
from headstart.resume.going_on import begin
from headstart.resume.own_folder import claim, held
from headstart.resume.quoting import MULTIRUN
from headstart.resume.start import understand
from headstart.resume.stored_config import compose_with

from . import TRUSTED


def compose(*overrides: str) -> DictConfig:
    """The config that `python train.py OVERRIDES` would get, to look at and to train with.

    It can't be edited: what a run is told is kept as overrides beside it, so compose another one. Its `run_dir` is
    where the run will be. Raises UserError for what can't work.
    """
    for one in overrides:
        if not isinstance(one, str):
            raise UserError(f'compose({one!r}): say each by itself, as in compose("seed=1", "head=mlp")')
    with told_in_a_line():
        arguments = understand(list(overrides))
        flags = [one for one in arguments if one.startswith("--config-")]
        told = [one for one in arguments if not one.startswith("-")]
        if set(MULTIRUN) & set(arguments):
            raise UserError("a sweep is for the command line, python train.py -m ...: here, call train in a loop")
        if others := [one for one in arguments if one not in (*flags, *told)]:
            raise UserError(f"{others[0]} is for the command line: here, look at what compose returns")
        cfg = compose_with(flags, told, with_hydra=True)
        cfg.hydra.run.dir = cfg.run_dir = cfg.hydra.run.dir  # the time it was composed at
        cfg.sweep_dir = cfg.hydra.sweep.dir
        check(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]), TRUSTED)
    OmegaConf.set_readonly(cfg, True)
    return cfg


def train(cfg: DictConfig) -> float:
    """Train what `compose` returned, as train.py does, and return the score.

    Where there is a run in its folder by now, of the same config maybe, the folder gets a number: `cfg.run_dir` is
    where this one is.
    """
    if not isinstance(cfg, DictConfig) or "hydra" not in cfg:
        raise UserError('train takes what compose of this module returns, as in train(compose("seed=1"))')
    with quick_imports():
        from .main import train as train_job

    context = HydraContext(None, Callbacks(), TRUSTED)  # pyright: ignore[reportArgumentType] (it composes no more)
    with told_in_a_line(), own_folder(cfg), as_before():
        job = run_job(lambda cfg: train_job(begin(cfg, TRUSTED)), cfg, "run_dir", None, context)
        if job.status == JobStatus.FAILED:
            raise job._return_value
    return job.return_value


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Make a UserError of whatever train.py would tell in one line; a bug stays what it is."""
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None or isinstance(error, UserError):
            raise
        raise UserError(message) from error


@contextmanager
def own_folder(cfg: DictConfig) -> Iterator[None]:
    """Keep everybody else out of the run's folder, which is one that nobody has, unless the run goes on in it."""
    folder = Path(cfg.hydra.run.dir)
    own = folder if cfg.resume else claim(folder)
    if own != folder:
        terminal(soft_wrap=True).print(f"there is a run in {short(folder)}: this one goes to {short(own)}")
    with read_write(cfg):
        cfg.run_dir = str(own)
    with held(own):
        yield


@contextmanager
def as_before() -> Iterator[None]:
    """Let a kernel be interrupted, and log, as it did, once a run is over; in a thread, a run takes no signals."""
    handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
    root = logging.getLogger()
    loggers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in [one for one in root.handlers if one not in loggers]:
            handler.close()  # train.log above all
        root.handlers[:] = loggers
        root.setLevel(level)
        for signum, handler in handlers.items() if threading.current_thread() is threading.main_thread() else ():
            signal.signal(signum, handler)
