"""From the config to data, model and features."""

import logging
from functools import lru_cache, partial
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from headstart.backbone import Backbone
from headstart.extras.shards.data import ShardData
from headstart.extras.shards.features import ShardFeatures
from headstart.features.cache import FeatureData
from headstart.images.mixing import Mixing
from headstart.resume.typed import refuse_untyped_commands

from .data.datamodule import ImageData
from .model.classifier import Classifier
from .model.logistic_regression import LogisticRegression, is_linear
from .model.schedules import warmup_cosine

log = logging.getLogger(__name__)


def make_data(cfg: DictConfig) -> ImageData:
    """Find and check the images."""
    data: ImageData = instantiate(cfg.data)
    if isinstance(data, ShardData):
        refuse_untyped_commands(data.given.values())
    data.seed = cfg.seed
    data.augment = instantiate(cfg.augment)
    data.setup()
    log.info(f"data: {data.table}")
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
    """Put the feature cache between images and head, unless every epoch shall see the images anew."""
    live = cfg.features.cache is False or (cfg.features.cache == "auto" and data.augment.varies)
    if model.strategy or live:
        return data
    return make_cache(cfg, data, model)


def make_cache(cfg: DictConfig, data: ImageData, model: Classifier) -> FeatureData:
    """Put the feature cache between images and head."""
    options = {name: cfg.features[name] for name in ("views", "batch_size", "verify")}
    if isinstance(data, ShardData):
        return ShardFeatures(data, model, cfg.features.dir, **options)
    return FeatureData(data, model, cfg.features.dir, **options)


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """All that a run can be told, as plain values."""
    values = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}
