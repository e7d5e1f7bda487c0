"""A user's mistake is told in one line; a bug keeps its traceback."""

import difflib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

PACKAGE_DIR = Path(__file__).parents[1]
PROJECT_DIR = PACKAGE_DIR.parent
CONF_DIR = PROJECT_DIR / "conf"
FULL_ERROR = "HYDRA_FULL_ERROR"
FOR_USERS = ("MisconfigurationException", "BrokenImageError")  # by name, as importing them would import torch


class UserError(ValueError):
    """What a user can get wrong: the message is one line that names the key or file, and says what to do."""


@contextmanager
def readable_errors() -> Iterator[None]:
    """Print the user's mistakes as one line and exit with 1; HYDRA_FULL_ERROR=1 shows their tracebacks, too."""
    if os.environ.get(FULL_ERROR) == "1":
        yield
        return
    os.environ[FULL_ERROR] = "1"  # Hydra hands errors over to us instead of printing them
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)  # before there was anything to lose
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        traceback.clear_frames(error.__traceback__)  # DataLoaders end their workers once nothing holds them
        sys.exit(f"error: {message}")
    finally:
        del os.environ[FULL_ERROR]


def explain(error: BaseException) -> str | None:
    """What a user should read about `error`, in one line; None when it is a bug."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = [option for option in error.options if not option.startswith("_")]
        return f"there is no {group}={name}; {did_you_mean(name, options)}there are {', '.join(options)}"
    if isinstance(error, ConfigCompositionException) and isinstance(error.__cause__, OmegaConfBaseException):
        key = error.__cause__.full_key or ""
        known = _known_keys()
        if key in known:
            return f"there is no {key} with these choices; it comes with {' or '.join(known[key])}"
        return f"there is no {key} in the config; {did_you_mean(key, list(known))}python train.py --help lists all"
    if str(error).startswith("Config group override must be"):  # Hydra doesn't say which
        return "a choice is a name, as in augment=light, and not true, false or null; python train.py --help lists all"
    if type(error).__name__ == "OutOfMemoryError":  # by name, as importing torch takes long
        return (
            "the device has too little memory for this batch: halve data.batch_size, and double "
            "+trainer.accumulate_grad_batches, which is 1"
        )
    if isinstance(error, InstantiationException) and error.__cause__:
        return explain(error.__cause__)
    if isinstance(error, HydraException | OmegaConfBaseException) or _is_meant_for_users(error):
        return " ".join(str(error).split())
    return None


def _is_meant_for_users(error: BaseException) -> bool:
    """Our own ValueErrors are; one that comes out of a library's depth is a bug.

    Lightning marks its own, and those about images come out of a DataLoader's depth when a worker raised them.
    """
    if type(error).__name__ in FOR_USERS:
        return True
    frames = traceback.extract_tb(error.__traceback__)
    origin = Path(frames[-1].filename) if frames else Path()
    ours = origin.is_relative_to(PACKAGE_DIR) or origin.is_relative_to(PROJECT_DIR / "scripts")
    return isinstance(error, ValueError) and ours


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The one of `known` that `word` was meant to be, as a question; "" when none is like it."""
    last = word.rpartition(".")[2]  # data.augment was meant to be augment
    for close in [last] if last in known else difflib.get_close_matches(word, known, n=1, cutoff=0.5):
        choices = sorted(path.stem for path in CONF_DIR.glob(f"{close}/[!_]*.yaml"))  # where it is a group
        return f"did you mean {close}? " + (f"its choices are {', '.join(choices)}; " if choices else "")
    return ""


def _known_keys() -> dict[str, list[str]]:
    """Every key that some file below conf/ gives a value, such as `head` or `model.lr`, and the choices that do so."""
    keys: dict[str, list[str]] = {}
    for path in sorted(CONF_DIR.rglob("[!_]*.yaml")):
        group = path.relative_to(CONF_DIR).parent.parts
        package = () if path.read_text().startswith("# @package _global_") else group
        for key in {*group, *_dotted(_with_shared(path), package)}:
            keys.setdefault(key, []).append(f"{'.'.join(group)}={path.stem}")
    return keys


def _with_shared(path: Path) -> Any:
    """A choice's file with what it takes from those beside it that are no choices, such as conf/data/_images.yaml."""
    node = OmegaConf.load(path)
    assert isinstance(node, DictConfig)
    shared = [name for name in node.get("defaults", []) if isinstance(name, str) and name.startswith("_")]
    files = [path.with_name(f"{name}.yaml") for name in shared if name != "_self_"]
    return OmegaConf.merge(*map(OmegaConf.load, files), node)


def _dotted(node: Any, prefix: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(node, DictConfig):
        return
    for key in node:
        yield ".".join((*prefix, str(key)))
        yield from _dotted(node._get_node(key), (*prefix, str(key)))
