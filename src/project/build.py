"""From the config to objects: the only file that calls instantiate."""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from headstart.backbone import Backbone
from headstart.errors import UserError
from headstart.features.cache import FeatureData
from headstart.freezing import sizes
from headstart.images.mixing import Mixing
from headstart.images.shared import set_up
from headstart.kinds import check_parts, makes, of_kind
from headstart.machine import chosen_precision, repeatable
from headstart.resume.checkpoints import AtomicCheckpointIO, refuse_what_cant_be_loaded
from headstart.resume.steps import StepSeed
from headstart.resume.trusted import refuse_untyped_commands
from headstart.tracking.history import History

from . import TRUSTED
from .callbacks.epoch_line import EpochLine
from .callbacks.progress_bar import progress_bars
from .data.datamodule import ImageData
from .model.classifier import Classifier
from .model.metrics import direction, directions

log = logging.getLogger(__name__)


def make(cfg: DictConfig, key: str, **options: Any) -> Any:
    """What the `_target_` at `key` makes; taken out alone, as Hydra would copy the whole config for each object."""
    alone = OmegaConf.create({})
    OmegaConf.update(alone, key, OmegaConf.to_container(OmegaConf.select(cfg, key), resolve=True))
    return instantiate(OmegaConf.select(alone, key), _convert_="all", **options)


def check_metrics(cfg: DictConfig) -> None:
    """Raise UserError for a metric that isn't measured, or a mode that takes its worst value for the best."""
    known = [f"val/{name}" for name in directions()]
    for key in ("monitor", "best.metric"):
        if OmegaConf.select(cfg, key) not in known:
            raise UserError(f"{key}={OmegaConf.select(cfg, key)}: choose one of {', '.join(known)}")
    watched = {"mode": cfg.monitor, "model.scheduler.mode": cfg.monitor}
    watched |= {f"callbacks.{name}.mode": OmegaConf.select(cfg.callbacks, f"{name}.monitor") for name in cfg.callbacks}
    for key, metric in watched.items():
        if str(metric).startswith("val") and metric not in known:
            raise UserError(f"{key.replace('.mode', '.monitor')}={metric}: choose one of {', '.join(known)}")
        mode, best = OmegaConf.select(cfg, key), direction(metric)
        if best and mode != best and (mode in ("min", "max") or (key == "mode" and mode not in ("auto", None))):
            raise UserError(f"{key}={mode}: the best {metric} is the {best}, and needn't be said: leave {key} out")


def images(cfg: DictConfig, sweep: str | None = None) -> ImageData:
    """The images, found and checked, once for all jobs of a `sweep`; raises UserError for what is wrong with them."""
    data: ImageData = of_kind(LightningDataModule, "data", make(cfg, "data"))
    refuse_untyped_commands(data.commands)
    data.seed, data.augment = cfg.seed, make(cfg, "augment")
    set_up(data, sweep and f"{sweep}\n{OmegaConf.to_yaml(cfg.data, resolve=True)}")
    log.info(f"data: {data.table}")
    return data


def model(cfg: DictConfig, data: ImageData) -> Classifier:
    """The pretrained backbone with a new head on it; the data takes its preprocessing from there."""
    pretrained = backbone(cfg)
    data.preprocessing = pretrained.preprocessing
    made: Classifier = make(cfg, "model")(
        backbone=pretrained, head=head(cfg), classes=data.classes, class_weights=data.class_weights
    )
    check_parts(made, pretrained.num_features)
    refuse_what_cant_be_loaded(dict(made.hparams), TRUSTED)
    if data.augment.mixes:
        made.mix = Mixing(len(made.classes), data.augment.mixup, data.augment.cutmix)
    log.info(f"model: {sizes(made.backbone, made.head)}")
    return made


def head(cfg: DictConfig) -> Callable[..., nn.Module]:
    """What makes a head of the number of features and of classes."""
    return makes(nn.Module, "head", make(cfg, "head"))


def backbone(cfg: DictConfig) -> Backbone:
    """The backbone that `cfg.backbone` describes; what of it stays frozen is for the strategy."""
    said = [key for key, value in cfg.backbone.items() if key != "freeze" and (value or key != "weights_key")]
    return _load_backbone(OmegaConf.to_yaml(OmegaConf.masked_copy(cfg.backbone, said), resolve=True))


@lru_cache(maxsize=1)
def _load_backbone(description: str) -> Backbone:
    """The same for the same YAML text: the jobs of a sweep share a backbone, as it is frozen."""
    return instantiate(OmegaConf.create(description))


def features(cfg: DictConfig, data: ImageData, fitted: Classifier) -> ImageData | FeatureData:
    """The feature cache between images and head, or the images themselves where every epoch shall see them anew."""
    live = cfg.features.cache is False or (cfg.features.cache == "auto" and data.augment.varies)
    return data if fitted.strategy or live else cached_features(cfg, data, fitted)


def cached_features(cfg: DictConfig, data: ImageData, fitted: Classifier) -> FeatureData:
    """The feature cache between images and head."""
    options = {name: cfg.features[name] for name in ("views", "batch_size", "verify", "engine") if name in cfg.features}
    return data.feature_cache(data, fitted.pretrained, cfg.features.dir, fitted.full_batch, **options)


def loggers(cfg: DictConfig) -> list[Logger]:
    """The chosen loggers."""
    return list(make(cfg, "logger").values())


def callbacks(cfg: DictConfig) -> list[Callback]:
    """The chosen callbacks; those that watch a metric take its own best, be it the largest or the smallest value."""
    made = []
    for key in (f"callbacks.{name}" for name, node in cfg.callbacks.items() if node):
        callback = of_kind(Callback, key, make(cfg, key))
        best = direction(getattr(callback, "monitor", None))
        if best and getattr(callback, "mode", best) != best:  # Lightning takes the smallest where nothing is said
            callback = make(cfg, key, mode=best)
        made.append(callback)
    return made


def trainer(cfg: DictConfig, run_loggers: list[Logger], guards: Sequence[Callback] = ()) -> Trainer:
    """The run's Trainer: `guards`, the chosen callbacks and loggers, in the precision that suits the hardware."""
    all_callbacks = [*guards, *callbacks(cfg), StepSeed(cfg.seed), History(cfg.run_dir), EpochLine()]
    made = trainer_with(cfg, all_callbacks, logger=run_loggers or False)
    log.info(f"trainer: {type(made.accelerator).__name__}, {made.num_devices} device(s), {made.precision}")
    return made


def trainer_with(cfg: DictConfig, callbacks: list[Callback], **options: Any) -> Trainer:
    """A Trainer with these callbacks and options alone, beside what all Trainers of a run have in common."""
    bars = progress_bars(cfg.progress)
    options |= {
        "enable_progress_bar": bool(bars),
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "precision": chosen_precision(cfg.trainer.precision, cfg.trainer.accelerator),
        "deterministic": repeatable() if cfg.trainer.deterministic == "auto" else cfg.trainer.deterministic,
        "use_distributed_sampler": False,  # every device takes its own images already
        "default_root_dir": cfg.run_dir,
        "plugins": AtomicCheckpointIO(),
    }
    if cfg.trainer.get("strategy") == "ddp" and cfg.model.strategy and cfg.model.strategy.unfreeze_every:
        options["strategy"] = "ddp_find_unused_parameters_true"  # stages that join in later have no gradients yet
    return make(cfg, "trainer")(callbacks=[*callbacks, *bars], **options)
