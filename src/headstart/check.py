"""What is found out about a config before anything is loaded."""

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from project.model.metrics import METRICS

from .errors import UserError
from .extras.find_lr.tuning import STAND_INS
from .images.augmentation import Augment


def check(cfg: DictConfig) -> None:
    """Find what can't work before anything is loaded; raises UserError."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError(f"{missing[0]} has no value: add {missing[0]}=... to the command line")
    monitors = [f"val/{name}" for name in METRICS]
    for keys in (("monitor", "mode"), ("best.metric", "best.mode")):
        metric, mode = (OmegaConf.select(cfg, key) for key in keys)
        if metric not in monitors or mode not in ("min", "max"):
            raise UserError(f"{keys[0]}={metric} {keys[1]}={mode}: choose one of {', '.join(monitors)}, min or max")
    if cfg.features.cache not in ("auto", True, False):
        raise UserError(f"features.cache={cfg.features.cache}: choose auto, true or false")
    full_batch = getattr(get_class(cfg.model._target_), "full_batch", False)
    if cfg.model.strategy and full_batch:
        raise UserError("solver=lbfgs solves for a head and trains no backbone: a strategy needs solver=adamw")
    if cfg.features.cache is True and cfg.model.strategy:
        raise UserError(
            "strategy=... trains the backbone, and its features change: features.cache=true is for strategy=frozen"
        )
    augment: Augment = instantiate(cfg.augment)
    if cfg.features.cache is True and augment.varies:
        raise UserError(
            "augment draws new images every epoch, features.cache=true can't: try augment=none features.views=4"
        )
    if cfg.data.get("balance") == "sampler" and full_batch:
        raise UserError(
            "data.balance=sampler draws batches, solver=lbfgs takes all images at once: data.balance=weights suits it"
        )
    if augment.mixes and "optimizer" not in cfg.model:
        raise UserError("augment.mixup and augment.cutmix are for gradient descent: add solver=adamw")


def automatic(cfg: DictConfig) -> list[str]:
    """The keys whose values are left to a search."""
    return [key for key in STAND_INS if OmegaConf.select(cfg, key) == "auto"]


def with_stand_ins(cfg: DictConfig) -> DictConfig:
    """The same config, with numbers in the place of those that are to be found."""
    cfg = cfg.copy()
    for key in automatic(cfg):
        OmegaConf.update(cfg, key, STAND_INS[key])
    return cfg
