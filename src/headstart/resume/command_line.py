"""The config of a command line, and what of it can't work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import execution_whitelist
from omegaconf import MISSING, DictConfig, OmegaConf

from ..errors import CONF_DIR, UserError
from ..images.augmentation import Augment
from ..images.splits import Splitting
from ..tracking.wandb_options import check_wandb
from .arguments import check_arguments, check_given, own_parameters, takes
from .environment import load_env
from .implied import DESCENT_ONLY, imply
from .quoting import as_typed
from .targets import check_targets
from .trainer_values import check_trainer
from .trusted import leaves
from .typed import is_live, varies
from .typed import solves as solved

# What would be found out only once torch is there.
CHOICES = {
    "features.cache": ("auto", True, False), "features.verify": ("stat", "content"),
    "features.engine": ("auto", "torch", "openvino"),
    "norm": ("none", "layer", "batch"), "progress": ("rich", "tqdm", "none"), "plots": ("auto", True, False),
    "data.balance": ("none", "sampler", "weights"), "data.on_error": ("raise", "skip"),
}  # fmt: skip
LEAST = {
    "data.batch_size": 1, "data.max_pixels": 1, "features.batch_size": 1, "features.views": 1,
    "callbacks.last_checkpoint.keep": 1, "logger.csv.flush_logs_every_n_steps": 1, "logger.tensorboard.max_queue": 1,
    "logger.tensorboard.flush_secs": 0,
}  # fmt: skip
SECTIONS = {"model": "model.lr", "features": "features.cache", "best": "best.metric"}  # which are no choices
MAX_SEED = 2**32  # of NumPy; torch takes larger ones


@contextmanager
def composed(arguments: list[str], trusted: tuple[str, ...]) -> Iterator[DictConfig]:
    """The config that train.py would get, for the other scripts; inside, `instantiate` makes what is `trusted`."""
    load_env()
    with initialize_config_dir(str(CONF_DIR)):
        cfg = compose("train", imply(as_typed(arguments)))
    with execution_whitelist(trusted):
        yield cfg


def check(cfg: DictConfig, trusted: Sequence[str] = ("*",)) -> DictConfig:
    """The config with interpolations resolved; raises UserError for what can't work, before torch is there."""
    as_written, cfg = cfg, _resolved(cfg)
    check_sections(cfg)
    check_targets(cfg, trusted)
    check_arguments(cfg, as_written)
    if "wandb" in cfg.logger:
        known = takes("wandb.sdk.wandb_init.init") or {}
        check_wandb(cfg.logger.wandb, known)
        own = own_parameters("lightning.pytorch.loggers.wandb.WandbLogger")
        check_given("logger.wandb", cfg.logger.wandb, {**own, **known, "mode": None})  # which is checked by now
    check_values(cfg)
    check_settings(cfg)
    solves = solved(cfg)
    check_trainer(cfg, solves)
    descent = [f"model.{key}" for key in DESCENT_ONLY if solves and key in cfg.model]
    if descent:
        raise UserError(
            f"{descent[0]} is for gradient descent, and solver=lbfgs has none: take solver=adamw, or leave it out"
        )
    if cfg.model.strategy and solves:
        raise UserError("solver=lbfgs solves for a head and trains no backbone: a strategy needs solver=adamw")
    size = "data.batch_size" if is_live(cfg) else "features.batch_size"
    if not solves and OmegaConf.select(cfg, "head.norm") == "batch" and OmegaConf.select(cfg, size) == 1:
        raise UserError(f"norm=batch can't be trained on batches of one image: raise {size}, or take norm=layer")
    if cfg.features.cache is True and cfg.model.strategy:
        raise UserError(
            "strategy=... trains the backbone, and its features change: features.cache=true is for strategy=frozen"
        )
    if cfg.features.cache is True and varies(cfg):
        raise UserError(
            "augment draws new images every epoch, features.cache=true can't: try augment=none features.views=4"
        )
    if solves and OmegaConf.select(cfg, "data.balance") == "sampler":
        raise UserError(
            "data.balance=sampler draws batches, solver=lbfgs takes all images at once: data.balance=weights suits it"
        )
    if solves and (cfg.augment.mixup or cfg.augment.cutmix):
        raise UserError("augment.mixup and augment.cutmix are for gradient descent: add solver=adamw")
    return cfg


def check_sections(cfg: DictConfig) -> None:
    """Raise UserError where a value was given to what has keys."""
    for name in SECTIONS:
        if not isinstance(cfg.get(name), DictConfig):
            raise UserError(
                f"{name}={cfg.get(name)}: {name} has no value but keys of its own, such as {SECTIONS[name]}"
            )


def _resolved(cfg: DictConfig) -> DictConfig:
    """A copy with values in the place of interpolations, each of which is parsed anew whenever somebody reads it.

    Raises UserError for a value that is still to be given.
    """
    written = leaves(OmegaConf.to_container(cfg))
    missing = sorted(".".join(map(str, key)) for key, value in written if value == MISSING)
    if missing:
        raise UserError(f"{missing[0]} has no value: add {missing[0]}=... to the command line")
    copy = cfg.copy()
    OmegaConf.set_readonly(copy, False)  # a notebook's is
    OmegaConf.resolve(copy)
    return copy


def check_values(cfg: DictConfig) -> None:
    """Raise UserError for a value that is none of a few, a number that is too small, or a seed too large for NumPy."""
    for key, choices in CHOICES.items():
        value = OmegaConf.select(cfg, key, default=choices[0])
        if value not in choices:
            names = [str(choice).lower() for choice in choices]
            raise UserError(f"{key}={value}: choose {', '.join(names[:-1])} or {names[-1]}")
    for key, least in LEAST.items():
        value = OmegaConf.select(cfg, key)
        if value is not None and (type(value) is not int or value < least):
            raise UserError(f"{key}={value} must be a whole number from {least} up")
    for key in ("seed", "data.seed", "backbone.seed"):
        seed = OmegaConf.select(cfg, key, default=0)  # an owner's own class may have none
        if type(seed) is not int or not 0 <= seed < MAX_SEED:
            raise UserError(f"{key}={'null' if seed is None else seed} must be a whole number from 0 to {MAX_SEED - 1}")


def check_settings(cfg: DictConfig) -> None:
    """Let what is made of `data` and `augment` say what of it can't be; an owner's own may be of another kind."""
    if "val_fraction" in cfg.data:
        Splitting(**_plain(cfg.data, Splitting))
    if cfg.augment.get("_target_") == f"{Augment.__module__}.{Augment.__name__}":
        Augment(**_plain(cfg.augment, Augment))


def _plain(node: DictConfig, kind: type) -> dict[str, Any]:
    """What a node says of the fields of a dataclass, but for what is made of a `_target_` later."""
    values: Any = OmegaConf.to_container(node, resolve=True)
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in values.items() if name in names and not isinstance(value, dict)}
