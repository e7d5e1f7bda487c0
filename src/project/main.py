"""The road: what happens in a run, from the config to the score."""

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import seed_everything
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from headstart.files import short
from headstart.fit import fit
from headstart.images.checks import check_splits
from headstart.machine import prepare_process
from headstart.ranks import refuse_other_count
from headstart.resume.checkpoints import newest_checkpoint, read_checkpoint, refuse_other_backbone
from headstart.resume.environment import without_secrets
from headstart.resume.going_on import keep_typed
from headstart.resume.job_processes import starts_processes, train_in_processes
from headstart.resume.quoting import RESUME
from headstart.resume.same_data import NoteData, refuse_other_data
from headstart.resume.schedule import NewSchedule, ended
from headstart.resume.signals import Interrupted, StopOnSignal, StopRequest
from headstart.resume.steps import FiniteLoss
from headstart.resume.stored_config import command_of
from headstart.tracking.loggers import closed_at_the_end, log_hyperparameters, log_score
from headstart.tracking.show import wanted

from . import build
from .head_first import train_head_first
from .reporting import results
from .reporting.in_loggers import show_results

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float:
    """Train what the config describes, leave everything in `cfg.run_dir`, and return the score."""
    if getattr(rank_zero_only, "rank", 0):
        logging.disable(logging.INFO)  # one process speaks for all
    request = StopRequest()
    request.listen()
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    with_plots = wanted(cfg.plots, cfg.run_dir, cfg.sweep_dir)
    earlier = results.finished_score(cfg.run_dir, command_of(cfg)) if in_sweep else None
    if earlier is not None:
        log.info(f"{short(cfg.run_dir)} has ended with {earlier:.4f} already")
        return earlier
    try:
        prepare_process()
        build.check_metrics(cfg)
        trainer = build.trainer_with(cfg, [], logger=False)  # what it refuses is said now
        refuse_other_count(trainer)
        if in_sweep and starts_processes(trainer):
            return train_in_processes(cfg.run_dir, cfg.sweep_dir, request)
        return run(cfg, request, in_sweep, with_plots)
    except BaseException as error:  # a signal can come out as anything, a SystemExit of 0 above all
        if request.signum is None:
            if not in_sweep:  # which says itself why a job failed
                results.write_failed(cfg.run_dir, error, command_of(cfg), with_plots)
            raise
        if not getattr(rank_zero_only, "rank", 0):
            results.write_interrupted(cfg.run_dir, request.signum, *request.position, command_of(cfg), with_plots)
            folder = short(cfg.sweep_dir if in_sweep else cfg.run_dir)
            log.warning(f"interrupted: go on with python train.py {'-m ' * in_sweep}{RESUME}{folder}")
        raise Interrupted(request.signum) from None


def run(cfg: DictConfig, request: StopRequest, in_sweep: bool, with_plots: bool) -> float:
    """Make the objects, fit, report and return the score; raises Interrupted when a signal came."""
    seed_everything(cfg.seed, workers=True, verbose=False)
    checkpoint = newest_checkpoint(Path(cfg.run_dir) / "checkpoints") if cfg.resume else None
    images = build.images(cfg, cfg.sweep_dir if in_sweep else None)
    assert images.table is not None
    check_splits(images.table)
    model = build.model(cfg, images)
    saved = read_checkpoint(checkpoint) if checkpoint else None
    if saved:
        refuse_other_data(saved, images.table)
        refuse_other_backbone(saved, model.pretrained.digest)
    data = build.features(cfg, images, model)
    run_loggers = build.loggers(cfg)
    with closed_at_the_end(run_loggers):
        guards = (StopOnSignal(request), FiniteLoss(data.files_of_batch), NoteData(images.table), NewSchedule())
        trainer = build.trainer(cfg, run_loggers, guards)
        if cfg.resume:
            keep_typed(cfg, checkpoint, ended(trainer, saved) if saved else None)
            del saved  # as large as what is trained
        if model.strategy and model.strategy.head_first and not checkpoint:
            train_head_first(cfg, model, images, request)
        log_hyperparameters(trainer.loggers, without_secrets(cfg), build.directions())
        fitted = fit(model, data, trainer, checkpoint)
        score = fitted.metrics[cfg.monitor]
        results.write_results(cfg.run_dir, score, fitted, model, command_of(cfg))
        log_score(trainer, score, fitted.metrics, fitted.status)
        if with_plots:
            results.write_report(cfg.run_dir, model)
            show_results(trainer, data)
    results.print_results(cfg.run_dir, fitted.metrics)
    return score
