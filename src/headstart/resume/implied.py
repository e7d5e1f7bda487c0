"""What a command line implies, and the files of its choices: an experiment's file is a command line, too."""

import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from ..errors import CONF_DIR, UserError
from .quoting import MULTIRUN
from .stored_config import ALONE, PRIMARY, compose_with, key_of, means_sweep

DESCENT_ONLY = ("lr", "weight_decay", "optimizer", "scheduler")  # of model: solver=lbfgs has none of them
DESCENT = (*(f"model.{key}" for key in DESCENT_ONLY), "augment.mixup", "augment.cutmix")
OFF = ("0", "0.0", "null")  # of mixup and cutmix: as good as not said
USUAL = ("data", "augment", "backbone", "solver", "strategy", "head", "callbacks", "logger", "trainer")
FREE_BY_DEFAULT = re.compile(r"^ *- *(?:experiment|debug): *(?!null)\w", re.MULTILINE)


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


def implied_by_files(arguments: list[str]) -> list[str]:
    """What has to be typed, too, as the files of the choices in `arguments` want it: `solver=adamw`, `-m`.

    Only groups whose files may set anything are looked at. Raises UserError when the jobs of a sweep want different
    things, and do not say so in their files.
    """
    flags = [argument for argument in arguments if argument.startswith("--config-")]
    told = [argument for argument in arguments if "=" in argument and not argument.startswith(("-", "~"))]
    told = [one for one in told if not {".", "/"} & set(key_of(one)) and "(" not in one and key_of(one) != "resume"]
    if not (flags or any(is_free(one) for one in told) or FREE_BY_DEFAULT.search(_primary())):
        return []
    is_sweep = bool(set(MULTIRUN) & set(arguments))
    jobs = [[one] if not (is_sweep and is_free(one)) else _each(one) for one in told]
    jobs = [[one for one in choices if "," not in one or "[" in one] for choices in jobs]
    wanted = {job: _wanted(flags, list(job)) for job in product(*filter(None, jobs))}
    first = next(iter(wanted.values()))
    for job, others in wanted.items():
        free = " ".join(filter(is_free, job))
        if others != first:
            raise UserError(
                f"{free} implies {' '.join(others) or 'nothing'}, and another job {' '.join(first) or 'nothing'}: say "
                "in each file what it is for, as in defaults: [override /solver: adamw]"
            )
    shows = any(argument.startswith("-") and argument not in flags for argument in arguments)  # --cfg, --help, -m
    return [one for one in first if one != "-m" or not (shows or ALONE in arguments)]


def _wanted(flags: Iterable[str], told: list[str]) -> list[str]:
    cfg = compose_with(flags, told, with_hydra=True)
    mixes = any(cfg.augment.get(name) for name in ("mixup", "cutmix"))
    descends = "strongest" in cfg.model and (mixes or any(key in cfg.model for key in DESCENT_ONLY))
    descends = descends and not _says(flags, told, "solver")
    unfreezes = cfg.backbone.get("freeze") not in (None, "all") and not cfg.model.strategy
    wanted = {
        "solver=adamw": descends,
        "strategy=finetune": unfreezes,
        "-m": means_sweep(cfg.hydra),
    }
    return [one for one, holds in wanted.items() if holds]


def _says(flags: Iterable[str], told: Iterable[str], group: str) -> bool:
    """Whether a file that was chosen says which choice of a group it wants."""
    folders = [CONF_DIR, *(Path(flag.partition("=")[2]) for flag in flags if "-name=" not in flag)]
    files = [f"{key_of(one)}/{one.partition('=')[2]}.yaml" for one in told if is_free(one)]
    paths = [folder / file for folder in folders for file in files]
    texts = [path.read_text() for path in paths if path.is_file()]
    return any(re.search(rf"override /?{group}\b", text) for text in texts)


def is_free(argument: str) -> bool:
    """Whether it is a choice of a group whose files may set anything, and of the choice itself."""
    key, value = key_of(argument), argument.partition("=")[2]
    return (CONF_DIR / key).is_dir() and key not in USUAL and value not in ("", "null")


def _each(argument: str) -> list[str]:
    key, _, value = argument.partition("=")
    return [argument] if value.startswith("[") else [f"{key}={one}" for one in value.split(",")]


def _primary() -> str:
    return (CONF_DIR / f"{PRIMARY}.yaml").read_text()
