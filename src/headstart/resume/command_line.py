"""What a command line says: what it implies, what `resume=RUN` stands for, and what of it can't work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
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
from .implied import DESCENT_ONLY, implied_by_files
from .quoting import MULTIRUN, as_typed
from .targets import check_targets
from .trainer_values import check_trainer
from .trusted import leaves
from .typed import is_live, varies
from .typed import solves as solved

KEY = "resume="
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
MAX_SEED = 2**32  # of NumPy; torch takes larger ones
FLAGS = {"-cn": "--config-name", "-cd": "--config-dir", "-cp": "--config-path"}  # which take a value

DESCENT = (*(f"model.{key}" for key in DESCENT_ONLY), "augment.mixup", "augment.cutmix")
OFF = ("0", "0.0", "null")  # of mixup and cutmix: as good as not said


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


def join_flags(arguments: list[str]) -> list[str]:
    """Hydra's flags that choose configs with their value in one argument, paths being absolute."""
    rest, joined = iter(arguments), []
    for argument in rest:
        flag, is_joined, value = argument.partition("=")
        flag = FLAGS.get(flag, flag)
        if flag in FLAGS.values():
            value = value if is_joined else next(rest, "")
            argument = f"{flag}={value if flag == FLAGS['-cn'] else Path(value).absolute()}"
        joined.append(argument)
    return joined


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


def imply(arguments: list[str]) -> list[str]:
    """Add `solver=adamw` for whoever names a learning rate, or anything else that only gradient descent has.

    And `strategy=finetune` for whoever leaves some of the backbone unfrozen. An experiment's file says what it says as
    if it had been typed; one that chooses a sweeper is a sweep.
    """
    split = [argument.lstrip("+~").partition("=") for argument in arguments]
    values = {key: value for key, _, value in split}
    said = [key for key, value in values.items() if not (key.startswith("augment.") and value in OFF)]
    means_descent = any(f"{key}.".startswith(f"{name}.") for key in said for name in DESCENT)
    implied = ["solver=adamw"] if means_descent and "solver" not in values else []
    if values.get("backbone.freeze", "all") not in ("all", "null") and "strategy" not in values:
        implied.append("strategy=finetune")
    by_files = [one for one in implied_by_files(arguments) if one not in implied and one.split("=")[0] not in values]
    return [
        *(flag for flag in by_files if flag in MULTIRUN),
        *arguments,
        *implied,
        *(one for one in by_files if one not in MULTIRUN),
    ]
