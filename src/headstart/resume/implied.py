"""What the files of a command line's choices imply: an experiment's file is a command line, too."""

import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from ..errors import CONF_DIR, UserError
from .stored_config import ALONE, PRIMARY, compose_with, key_of, means_sweep

DESCENT_ONLY = ("lr", "weight_decay", "optimizer", "scheduler")  # of model: solver=lbfgs has none of them
USUAL = ("data", "augment", "backbone", "solver", "strategy", "head", "callbacks", "logger", "trainer")
FREE_BY_DEFAULT = re.compile(r"^ *- *(?:experiment|debug): *(?!null)\w", re.MULTILINE)


def implied_by_files(arguments: list[str]) -> list[str]:
    """What has to be typed, too, as the files of the choices in `arguments` want it: `solver=adamw`, `-m`.

    Only groups whose files may set anything are looked at. Raises UserError when the jobs of a sweep want different
    things, and do not say so in their files.
    """
    flags = [argument for argument in arguments if argument.startswith("--config-")]
    told = [argument for argument in arguments if "=" in argument and not argument.startswith(("-", "~"))]
    told = [one for one in told if not {".", "/"} & set(key_of(one)) and "(" not in one and key_of(one) != "resume"]
    if not (flags or any(_is_free(one) for one in told) or FREE_BY_DEFAULT.search(_primary())):
        return []
    is_sweep = bool({"-m", "--multirun"} & set(arguments))
    jobs = [[one] if not (is_sweep and _is_free(one)) else _each(one) for one in told]
    jobs = [[one for one in choices if is_sweep is False or "," not in one or "[" in one] for choices in jobs]
    wanted = {job: _wanted(flags, list(job)) for job in product(*filter(None, jobs))}
    first = next(iter(wanted.values()))
    for job, others in wanted.items():
        free = " ".join(filter(_is_free, job))
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
    files = [f"{key_of(one)}/{one.partition('=')[2]}.yaml" for one in told if _is_free(one)]
    paths = [folder / file for folder in folders for file in files]
    texts = [path.read_text() for path in paths if path.is_file()]
    return any(re.search(rf"override /?{group}\b", text) for text in texts)


def _is_free(argument: str) -> bool:
    """Whether it is a choice of a group whose files may set anything, and of the choice itself."""
    key, value = key_of(argument), argument.partition("=")[2]
    return (CONF_DIR / key).is_dir() and key not in USUAL and value not in ("", "null")


def _each(argument: str) -> list[str]:
    key, _, value = argument.partition("=")
    return [argument] if value.startswith("[") else [f"{key}={one}" for one in value.split(",")]


def _primary() -> str:
    return (CONF_DIR / f"{PRIMARY}.yaml").read_text()
