"""From the config to Trainers: the run's own, and those for what comes before it."""

import logging
from collections.abc import Sequence
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from headstart.machine import best_precision, repeatable
from headstart.resume.checkpoint_io import AtomicCheckpointIO
from headstart.resume.step_seed import StepSeed
from headstart.tracking.history import History
from headstart.tracking.one_curve import OneCurve
from headstart.tracking.training_means import TrainingMeans

from .callbacks.epoch_line import EpochLine

HEAD_EPOCHS = 20  # before a backbone is trained

log = logging.getLogger(__name__)


def make_trainer(cfg: DictConfig, run_loggers: list[Logger], guards: Sequence[Callback] = ()) -> Trainer:
    """Build the Trainer with `guards`, the chosen callbacks and loggers, in the precision that suits the hardware."""
    callbacks = [callback for callback in instantiate(cfg.callbacks).values() if callback is not None]
    computing = how_to_compute(cfg)
    trainer: Trainer = instantiate(cfg.trainer)(
        callbacks=[*guards, *callbacks, StepSeed(cfg.seed), History(cfg.run_dir), OneCurve(), EpochLine()],
        plugins=AtomicCheckpointIO(),
        logger=run_loggers or False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        **computing,
    )
    name, precision = trainer.accelerator.__class__.__name__, computing["precision"]
    log.info(f"trainer: {name}, {trainer.num_devices} device(s), {precision}")
    return trainer


def make_head_trainer(cfg: DictConfig, guards: Sequence[Callback]) -> Trainer:
    """Build the Trainer for the head alone; curve and best weights go to `head/` below the run's folder."""
    folder = f"{cfg.run_dir}/head"
    callbacks = [
        EarlyStopping("val/loss", patience=3),
        ModelCheckpoint(folder, "best", "val/loss", enable_version_counter=False),
    ]
    return instantiate(cfg.trainer)(
        callbacks=[*guards, TrainingMeans(), *callbacks, StepSeed(cfg.seed), History(folder), EpochLine()],
        plugins=AtomicCheckpointIO(),
        logger=False,
        max_epochs=HEAD_EPOCHS,
        **how_to_compute(cfg),
    )


def make_search_trainer(cfg: DictConfig, *callbacks: Callback) -> Trainer:
    """Build a Trainer that trains like the run's, while `callbacks` let it, and says and keeps nothing."""
    endless = {"max_epochs": -1, "max_steps": -1, "min_epochs": None, "min_steps": None, "max_time": None}
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "profiler": None}
    unvalidated = {"limit_val_batches": 0, "num_sanity_val_steps": 0, "fast_dev_run": False}
    options = how_to_compute(cfg) | endless | silent | unvalidated
    return instantiate(cfg.trainer)(callbacks=[*callbacks, StepSeed(cfg.seed)], **options)


def how_to_compute(cfg: DictConfig) -> dict[str, Any]:
    """What all Trainers of a run have in common, beside `cfg.trainer`."""
    auto = cfg.trainer.precision == "auto"
    options = {
        "precision": best_precision(cfg.trainer.accelerator) if auto else cfg.trainer.precision,
        "deterministic": repeatable() if cfg.trainer.deterministic == "auto" else cfg.trainer.deterministic,
        "use_distributed_sampler": False,  # every device takes its own share already
        "default_root_dir": cfg.run_dir,
    }
    if cfg.trainer.get("strategy") == "ddp" and cfg.model.strategy and cfg.model.strategy.unfreeze_every:
        options["strategy"] = "ddp_find_unused_parameters_true"  # stages that join in later have no gradients yet
    return options
