"""What is found out about a config before anything is loaded: without torch, as that alone takes a second."""

from omegaconf import DictConfig, OmegaConf

from .errors import UserError


def check(cfg: DictConfig) -> None:
    """Find what can't work before anything is loaded; raises UserError."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError(f"{missing[0]} has no value: add {missing[0]}=... to the command line")
    if cfg.features.cache not in ("auto", True, False):
        raise UserError(f"features.cache={cfg.features.cache}: choose auto, true or false")
    solves = "optimizer" not in cfg.model  # for the head, on all images at once
    if cfg.model.strategy and solves:
        raise UserError("solver=lbfgs solves for a head and trains no backbone: a strategy needs solver=adamw")
    if cfg.features.cache is True and cfg.model.strategy:
        raise UserError(
            "strategy=... trains the backbone, and its features change: features.cache=true is for strategy=frozen"
        )
    if cfg.features.cache is True and any(value for key, value in cfg.augment.items() if not str(key).startswith("_")):
        raise UserError(
            "augment draws new images every epoch, features.cache=true can't: try augment=none features.views=4"
        )
    if solves and OmegaConf.select(cfg, "data.balance") == "sampler":
        raise UserError(
            "data.balance=sampler draws batches, solver=lbfgs takes all images at once: data.balance=weights suits it"
        )
    if solves and (cfg.augment.mixup or cfg.augment.cutmix):
        raise UserError("augment.mixup and augment.cutmix are for gradient descent: add solver=adamw")
