"""From the config to objects; with main.py, the only file that knows the config."""

import logging
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from hydra.utils import get_class, instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from headstart.backbones import Backbone
from headstart.callbacks import EpochLine, History, OneCurve, StepSeed, TrainingMeans
from headstart.checkpoint_io import AtomicCheckpointIO
from headstart.classifier import Classifier
from headstart.data import Augment, ImageData
from headstart.features import FeatureData
from headstart.logistic_regression import LogisticRegression, is_linear
from headstart.metrics import METRICS
from headstart.mixing import Mixing
from headstart.precision import best_precision, repeatable
from headstart.schedules import warmup_cosine

HEAD_EPOCHS = 20  # before a backbone is trained

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
    if cfg.features.cache is True and cfg.model.strategy:
        raise ValueError(
            "strategy=... trains the backbone, and its features change: features.cache=true is for strategy=frozen"
        )
    augment: Augment = instantiate(cfg.augment)
    if cfg.features.cache is True and augment.varies:
        raise ValueError(
            "augment draws new pictures every epoch, features.cache=true can't: try augment=none features.views=4"
        )
    if cfg.data.get("balance") == "sampler" and getattr(get_class(cfg.model._target_), "wants_whole_set", False):
        raise ValueError(
            "data.balance=sampler draws batches, solver=lbfgs takes all pictures at once: data.balance=weights suits it"
        )
    if augment.mixes and "optimizer" not in cfg.model:
        raise ValueError("augment.mixup and augment.cutmix are for gradient descent: add solver=adamw")


def make_data(cfg: DictConfig) -> ImageData:
    """Find and check the pictures."""
    data: ImageData = instantiate(cfg.data)
    data.seed = cfg.seed
    data.augment = instantiate(cfg.augment)
    data.setup()
    log.info(f"data: {data.pictures}")
    return data


def make_model(cfg: DictConfig, data: ImageData) -> Classifier:
    """Load the backbone and put a new head on it; the data takes its preprocessing from there."""
    backbone = the_backbone(cfg)
    data.preprocessing = backbone.preprocessing
    parts = {"backbone": backbone, "head": instantiate(cfg.head)}
    model: Classifier = instantiate(cfg.model)(**parts, classes=data.classes, class_weights=data.class_weights)
    if data.augment.mixes:
        model.mix = Mixing(len(model.classes), data.augment.mixup, data.augment.cutmix)
    log.info(f"model: {_weights(model)}")
    return model


def _weights(model: Classifier) -> str:
    counts = dict.fromkeys((False, True), 0)
    for parameter in model.backbone.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    trained = f" and {counts[True]:,} trained" if counts[True] else ""
    head = sum(parameter.numel() for parameter in model.head.parameters())
    return f"{counts[False]:,} frozen{trained} weights in the backbone, {head:,} trained ones in the head"


def the_backbone(cfg: DictConfig) -> Backbone:
    """The backbone that `cfg.backbone` describes; what of it stays frozen is for the strategy."""
    described = [key for key in cfg.backbone if key != "freeze"]
    return load_backbone(OmegaConf.to_yaml(OmegaConf.masked_copy(cfg.backbone, described), resolve=True))


@lru_cache(maxsize=1)
def load_backbone(description: str) -> Backbone:
    """Build what `conf/backbone` describes; the jobs of a sweep share it, as it is frozen."""
    return instantiate(OmegaConf.create(description))


def make_head_model(cfg: DictConfig, model: Classifier) -> Classifier:
    """Put a head like the model's on the same backbone, frozen: solved for where it is linear, else descended to."""
    descent = partial(Classifier, lr=4e-3, scheduler=partial(warmup_cosine, warmup=0.0))
    make = LogisticRegression if is_linear(model.head) else descent
    weights = None if model.class_weights is None else model.class_weights.tolist()
    values = {"label_smoothing": model.label_smoothing, "monitor": model.monitor, "class_weights": weights}
    return make(the_backbone(cfg), instantiate(cfg.head), model.classes, **values)


def make_features(cfg: DictConfig, data: ImageData, model: Classifier) -> ImageData | FeatureData:
    """Put the feature cache between pictures and head, unless every epoch shall see the pictures anew."""
    live = cfg.features.cache is False or (cfg.features.cache == "auto" and data.augment.varies)
    if model.strategy or live:
        return data
    return make_cache(cfg, data, model)


def make_cache(cfg: DictConfig, data: ImageData, model: Classifier) -> FeatureData:
    """Put the feature cache between pictures and head."""
    options = {name: cfg.features[name] for name in ("views", "batch_size", "verify")}
    return FeatureData(data, model, cfg.features.dir, **options)


def make_head_trainer(cfg: DictConfig, guards: Sequence[Callback]) -> Trainer:
    """Build the Trainer for the head alone; curve and best weights go to `head/` below the run's folder."""
    folder = f"{cfg.run_dir}/head"
    callbacks = [
        EarlyStopping(cfg.monitor, patience=3, mode=cfg.mode),
        ModelCheckpoint(folder, "best", cfg.monitor, mode=cfg.mode, enable_version_counter=False),
    ]
    return instantiate(cfg.trainer)(
        callbacks=[*guards, TrainingMeans(), *callbacks, StepSeed(cfg.seed), History(folder), EpochLine()],
        plugins=AtomicCheckpointIO(),
        logger=False,
        max_epochs=HEAD_EPOCHS,
        **how_to_compute(cfg),
    )


def how_to_compute(cfg: DictConfig) -> dict[str, Any]:
    """What all Trainers of a run have in common, beside `cfg.trainer`."""
    auto = cfg.trainer.precision == "auto"
    return {
        "precision": best_precision(cfg.trainer.accelerator) if auto else cfg.trainer.precision,
        "deterministic": repeatable() if cfg.trainer.deterministic == "auto" else cfg.trainer.deterministic,
        "use_distributed_sampler": False,  # every device takes its own share already
        "default_root_dir": cfg.run_dir,
    }


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


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """All that a run can be told, as plain values."""
    values = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}
