"""The Hydra boundary: a config in, one score back."""

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch import seed_everything
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from headstart.check import automatic, check, with_stand_ins
from headstart.errors import UserError
from headstart.extras.find_lr.tuning import settle
from headstart.files import short
from headstart.fit import fit, fit_head, measure
from headstart.machine import leave_imports_alone, quiet, reuse_freed_memory
from headstart.resume.checkpoints import newest_checkpoint
from headstart.resume.command_line import KEY as RESUME
from headstart.resume.finite_loss import FiniteLoss
from headstart.resume.signals import Interrupted, StopRequest
from headstart.resume.stop_on_signal import StopOnSignal
from headstart.tracking import loggers

from . import reporting
from .build import hyperparameters, make_cache, make_data, make_features, make_head_model, make_model
from .data.datamodule import ImageData
from .model.classifier import Classifier
from .reporting.sweep import refuse_several_processes
from .trainers import make_head_trainer, make_search_trainer, make_trainer

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float:
    """Train what the config describes, leave everything in `cfg.run_dir`, and return the score."""
    if getattr(rank_zero_only, "rank", 0):
        logging.disable(logging.INFO)  # one process speaks for all
    request = StopRequest()
    request.listen()
    quiet()
    reuse_freed_memory()
    leave_imports_alone()
    check(cfg)
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    overrides = [override for override in HydraConfig.get().overrides.task if not override.startswith(RESUME)]
    command = shlex.join(["python", "train.py", *overrides])
    earlier = reporting.finished_score(cfg.run_dir, command) if in_sweep and cfg.resume else None
    if earlier is not None:
        log.info(f"{short(cfg.run_dir)} has ended with {earlier:.4f} already")
        return earlier
    try:
        return fit_and_report(cfg, request, command)
    except BaseException:  # a signal in the middle of something can come out as anything, a SystemExit of 0 above all
        if request.signum is None:
            raise
        if not getattr(rank_zero_only, "rank", 0):
            reporting.write_interrupted(cfg.run_dir, request.signum, *request.position, command)
            folder = short(cfg.sweep_dir if in_sweep else cfg.run_dir)
            log.warning(f"interrupted: go on with python train.py {'-m ' * in_sweep}{RESUME}{folder}")
        raise Interrupted(request.signum) from None


def fit_and_report(cfg: DictConfig, request: StopRequest, command: str) -> float:
    """Make the objects, fit, and leave what came of it; raises Interrupted when a signal came."""
    seed_everything(cfg.seed, workers=True, verbose=False)
    as_typed, cfg = cfg, with_stand_ins(cfg)
    images = make_data(cfg)
    model = make_model(cfg, images)
    data = make_features(cfg, images, model)
    run_loggers = list(instantiate(cfg.logger).values())
    with closed_at_the_end(run_loggers):
        trainer = make_trainer(cfg, run_loggers, (StopOnSignal(request), FiniteLoss(data.files_of_batch)))
        refuse_several_processes(trainer, HydraConfig.get().mode)
        checkpoint = checkpoint_to_resume(cfg)
        if model.strategy and model.strategy.head_first and not checkpoint:
            train_head_first(cfg, model, images, request)
        make_searcher = partial(make_search_trainer, cfg, StopOnSignal(request))
        found = settle(automatic(as_typed), model, data, make_searcher, Path(cfg.run_dir), bool(cfg.resume))
        loggers.log_hyperparameters(trainer.loggers, hyperparameters(as_typed) | ({"found": found} if found else {}))
        result = fit(model, data, trainer, checkpoint)
        loggers.log_score(trainer.loggers, result.score, trainer.global_step)
    if trainer.is_global_zero:
        reporting.report(Path(cfg.run_dir), result, model.classes, command, found)
    return result.score


def train_head_first(cfg: DictConfig, model: Classifier, images: ImageData, request: StopRequest) -> None:
    """Train the head on the features of the backbone as it is, before any of it is trained."""
    head_model = make_head_model(cfg, model)
    data = make_cache(cfg, images, head_model)
    log.info("first the head, on frozen features")
    fit_head(model, head_model, data, make_head_trainer(cfg, (StopOnSignal(request), FiniteLoss(data.files_of_batch))))
    log.info("then the backbone")


@contextmanager
def closed_at_the_end(run_loggers: list[Logger]) -> Iterator[None]:
    """Close the loggers however it ends, and tell them how."""
    failed = True
    try:
        yield
        failed = False
    finally:
        loggers.close(run_loggers, failed)


def checkpoint_to_resume(cfg: DictConfig) -> Path | None:
    """Where `resume=` goes on from: the run's newest checkpoint; None is the beginning."""
    checkpoint = newest_checkpoint(Path(cfg.run_dir) / "checkpoints") if cfg.resume else None
    if cfg.resume:
        log.info(f"resuming from {short(checkpoint) if checkpoint else 'the beginning: nothing was saved yet'}")
    return checkpoint


def evaluate(cfg: DictConfig, checkpoint: str | Path) -> dict[str, float]:
    """Test a checkpoint on the config's data and return the metrics; raises UserError when the classes differ."""
    quiet()
    reuse_freed_memory()
    check(cfg)
    cfg = with_stand_ins(cfg)
    data = make_data(cfg)
    model = Classifier.load_from_checkpoint(checkpoint)
    if data.classes != model.classes:
        raise UserError(
            f"the checkpoint knows the classes {', '.join(model.classes)}; the data has {', '.join(data.classes)}"
        )
    data.preprocessing = model.preprocessing
    metrics = measure(model, make_features(cfg, data, model), make_trainer(cfg, []), splits=("test",))
    reporting.print_metrics(metrics)
    return metrics
