"""The Hydra boundary: a config in, objects out, one score back. No other file knows the config."""

import logging
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from headstart import loggers, reporting
from headstart.backbones import Backbone
from headstart.callbacks import EpochLine, History
from headstart.classifier import Classifier
from headstart.data import ImageData
from headstart.features import FeatureData
from headstart.memory import reuse_freed_memory
from headstart.metrics import METRICS
from headstart.noise import quiet
from headstart.precision import best_precision
from headstart.sweep import refuse_several_processes
from headstart.training import fit, measure

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float:
    """Train what the config describes, leave everything in `cfg.run_dir`, and return the score."""
    if getattr(rank_zero_only, "rank", 0):
        logging.disable(logging.INFO)  # one process speaks for all
    quiet()
    reuse_freed_memory()
    check(cfg)
    seed_everything(cfg.seed, workers=True, verbose=False)
    data = make_data(cfg)
    model = make_model(cfg, data)
    run_loggers = list(instantiate(cfg.logger).values())
    failed = True
    try:
        trainer = make_trainer(cfg, run_loggers)
        refuse_several_processes(trainer, HydraConfig.get().mode)
        loggers.log_hyperparameters(trainer.loggers, hyperparameters(cfg))
        last_checkpoint = f"{cfg.resume}/checkpoints/last.ckpt" if cfg.resume else None
        result = fit(model, make_features(cfg, data, model), trainer, last_checkpoint)
        loggers.log_score(trainer.loggers, result.score, trainer.global_step)
        failed = False
    finally:
        loggers.close(run_loggers, failed)
    if trainer.is_global_zero:
        command = shlex.join(["python", "train.py", *HydraConfig.get().overrides.task])
        reporting.report(Path(cfg.run_dir), result, model.classes, command)
    return result.score


def evaluate(cfg: DictConfig, checkpoint: str | Path) -> dict[str, float]:
    """Test a checkpoint on the config's data and return the metrics; raises ValueError when the classes differ."""
    quiet()
    reuse_freed_memory()
    check(cfg)
    data = make_data(cfg)
    model = Classifier.load_from_checkpoint(checkpoint)
    if data.classes != model.classes:
        raise ValueError(
            f"the checkpoint knows the classes {', '.join(model.classes)}; the data has {', '.join(data.classes)}"
        )
    data.preprocessing = model.preprocessing
    metrics = measure(model, make_features(cfg, data, model), make_trainer(cfg, []), splits=("test",))
    reporting.print_metrics(metrics)
    return metrics


def check(cfg: DictConfig) -> None:
    """Find what can't work before anything is loaded; raises ValueError."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise ValueError(f"{missing[0]} has no value: add {missing[0]}=... to the command line")
    monitors = [f"val/{name}" for name in METRICS]
    if cfg.monitor not in monitors or cfg.mode not in ("min", "max"):
        raise ValueError(f"monitor={cfg.monitor} mode={cfg.mode}: choose one of {', '.join(monitors)}, with min or max")
    if cfg.features.cache not in ("auto", True, False):
        raise ValueError(f"features.cache={cfg.features.cache}: choose auto, true or false")
    if cfg.features.cache is True and cfg.data.augment:
        raise ValueError(
            "data.augment=true draws new crops every epoch, features.cache=true can't: try features.views=4"
        )


def make_data(cfg: DictConfig) -> ImageData:
    """Find and check the pictures."""
    data: ImageData = instantiate(cfg.data)
    data.setup()
    log.info(f"data: {data.pictures}")
    return data


def make_model(cfg: DictConfig, data: ImageData) -> Classifier:
    """Load the backbone and put a new head on it; the data takes its preprocessing from there."""
    backbone = load_backbone(OmegaConf.to_yaml(cfg.backbone, resolve=True))
    data.preprocessing = backbone.preprocessing
    model: Classifier = instantiate(cfg.model)(backbone=backbone, head=instantiate(cfg.head), classes=data.classes)
    frozen, trained = (sum(p.numel() for p in part.parameters()) for part in (model.backbone, model.head))
    log.info(f"model: {frozen:,} frozen weights in the backbone, {trained:,} trained ones in the head")
    return model


@lru_cache(maxsize=1)
def load_backbone(description: str) -> Backbone:
    """Build what `conf/backbone` describes; the jobs of a sweep share it, as it is frozen."""
    return instantiate(OmegaConf.create(description))


def make_features(cfg: DictConfig, data: ImageData, model: Classifier) -> ImageData | FeatureData:
    """Put the feature cache between pictures and head, unless every epoch shall see the pictures anew."""
    if cfg.features.cache is False or (cfg.features.cache == "auto" and data.augment):
        return data
    options = {name: cfg.features[name] for name in ("views", "batch_size", "verify")}
    return FeatureData(data, model, cfg.features.dir, seed=cfg.seed, **options)


def make_trainer(cfg: DictConfig, run_loggers: list[Logger]) -> Trainer:
    """Build the Trainer with the chosen callbacks and loggers, in the precision that suits the hardware."""
    callbacks = [callback for callback in instantiate(cfg.callbacks).values() if callback is not None]
    precision = best_precision(cfg.trainer.accelerator) if cfg.trainer.precision == "auto" else cfg.trainer.precision
    trainer: Trainer = instantiate(cfg.trainer)(
        callbacks=[*callbacks, History(cfg.run_dir), EpochLine()],
        logger=run_loggers or False,
        precision=precision,
        default_root_dir=cfg.run_dir,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
    )
    log.info(f"trainer: {trainer.accelerator.__class__.__name__}, {trainer.num_devices} device(s), {precision}")
    return trainer


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """All that a run can be told, as plain values."""
    values = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}
