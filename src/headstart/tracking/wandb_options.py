"""What W&B is told, checked before it is imported: that takes a second, and its own word on a mistake a page."""

import os
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..errors import UserError, did_you_mean

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # dryrun and run are old names of the first two
KEY_LENGTH = 40  # at least
OURS = ("run_dir", "sweep_dir", "project", "entity")
LIGHTNINGS = ("log_model", "prefix", "checkpoint_name", "experiment", "version", "offline")


def wandb_mode(options: Mapping[str, Any]) -> tuple[str, str]:
    """What was said about where W&B keeps a run, and the value: a logger's own option before the environment's."""
    mode = options.get("mode")
    return ("logger.wandb.mode", mode) if mode else ("WANDB_MODE", os.environ.get("WANDB_MODE") or "online")


def check_wandb(options: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise UserError for an option that is not `known`, or a mode, server or key that W&B wouldn't take."""
    names = {*OURS, *LIGHTNINGS, *known}
    for option in options:
        if known and option not in names and not option.startswith("_"):
            raise UserError(f"there is no logger.wandb.{option}; {did_you_mean(option, names)}wandb.init has more")
    if isinstance(tags := options.get("tags"), str):
        raise UserError(f"+logger.wandb.tags={tags}: give a list, [{tags}]")
    _check_environment(*wandb_mode(options))


def _check_environment(name: str, mode: str) -> None:
    if mode not in MODES:
        raise UserError(f"{name}={mode}: choose {', '.join(MODES[:2])} or {MODES[2]}")
    url = os.environ.get("WANDB_BASE_URL") or "https://any"
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise UserError(f"WANDB_BASE_URL={url} is no address of a server: it begins with https://")
    key = os.environ.get("WANDB_API_KEY") or KEY_LENGTH * " "
    if len(key) < KEY_LENGTH:  # which is not shown: a log is no place for most of one
        raise UserError(f"WANDB_API_KEY has {len(key)} characters, and a key at least {KEY_LENGTH}: copy it once more")
