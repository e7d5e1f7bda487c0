"""From the config to objects; with main.py, the only file that knows the config."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from headstart.backbones import Backbone
from headstart.callbacks import EpochLine, History, OneCurve, StepSeed
from headstart.checkpoint_io import AtomicCheckpointIO
from headstart.classifier import Classifier
from headstart.data import ImageData, ShardData
from headstart.features import FeatureData, ShardFeatures
from headstart.metrics import METRICS
from headstart.precision import best_precision, repeatable
from headstart.typed import refuse_untyped_commands

log = logging.getLogger(__name__)


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
    if isinstance(data, ShardData):
        refuse_untyped_commands(data.given.values())
    data.seed = cfg.seed
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
    if isinstance(data, ShardData):
        return ShardFeatures(data, model, cfg.features.dir, **options)
    return FeatureData(data, model, cfg.features.dir, **options)


def make_trainer(cfg: DictConfig, run_loggers: list[Logger], guards: Sequence[Callback] = ()) -> Trainer:
    """Build the Trainer with `guards`, the chosen callbacks and loggers, in the precision that suits the hardware."""
    callbacks = [callback for callback in instantiate(cfg.callbacks).values() if callback is not None]
    precision = best_precision(cfg.trainer.accelerator) if cfg.trainer.precision == "auto" else cfg.trainer.precision
    trainer: Trainer = instantiate(cfg.trainer)(
        callbacks=[*guards, *callbacks, StepSeed(cfg.seed), History(cfg.run_dir), OneCurve(), EpochLine()],
        plugins=AtomicCheckpointIO(),
        use_distributed_sampler=False,  # every device takes its own share already
        logger=run_loggers or False,
        precision=precision,
        deterministic=repeatable() if cfg.trainer.deterministic == "auto" else cfg.trainer.deterministic,
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
