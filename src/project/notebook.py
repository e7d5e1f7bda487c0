"""A run without a command line, as in a notebook: `train(compose("data=folder", "data.root=~/pictures"))`.

It is the owner's, as what it trains is: the engine never imports this package. docs/notebook.ipynb shows it.
"""

import signal

import hydra
from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from headstart.errors import CONF_DIR, UserError
from headstart.machine import SIGNALS, quick_imports
from headstart.resume.command_line import check
from headstart.resume.going_on import begin, understand
from headstart.resume.quoting import MULTIRUN

from . import TRUSTED


def compose(*overrides: str) -> DictConfig:
    """The config that `python train.py OVERRIDES` would get, to look at and to train with.

    It can't be edited: what a run is told is kept as overrides beside it, so compose another one. Its `run_dir` is
    where the run will be. Raises UserError for what can't work.
    """
    arguments = understand(list(overrides))
    if set(MULTIRUN) & set(arguments):
        raise UserError("a sweep is for the command line, python train.py -m ...: here, call train in a loop")
    names = [one.partition("=")[2] for one in arguments if one.startswith("--config-name=")]  # of a run that goes on
    told = [one for one in arguments if not one.startswith("-")]
    with hydra.initialize_config_dir(str(CONF_DIR), job_name="train"):
        cfg = hydra.compose((names or ["train"])[-1], told, return_hydra_config=True)
    cfg.hydra.run.dir = cfg.run_dir = cfg.hydra.run.dir  # the time it was composed at
    cfg.sweep_dir = cfg.hydra.sweep.dir
    check(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]))
    OmegaConf.set_readonly(cfg, True)
    return cfg


def train(cfg: DictConfig) -> float:
    """Train what `compose` returned, as train.py does, and return the score."""
    with quick_imports():
        from .main import train as train_job

    handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
    context = HydraContext(None, Callbacks(), TRUSTED)  # pyright: ignore[reportArgumentType] (it composes no more)
    try:
        job = run_job(lambda cfg: train_job(begin(cfg)), cfg, "hydra.run.dir", None, context)
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
    if job.status == JobStatus.FAILED:
        raise job._return_value
    return job.return_value
