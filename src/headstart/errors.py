"""A user's mistake is told in one line; a bug keeps its traceback."""

import errno
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

PROJECT_DIR = Path(__file__).parents[2]
CONF_DIR = PROJECT_DIR / "conf"
FULL_ERROR = "HYDRA_FULL_ERROR"
CUTOFF = 0.5  # of the likeness of two words, from 0 to 1
OPEN = ("trainer.", "logger.", "callbacks.")  # whose targets take more than the config says
SEVERAL = ("callbacks", "logger")  # groups of which there may be several choices
SECOND_CHOICE = re.compile(  # by `+logger=csv`; and by `++logger=csv`
    r"Multiple values for (\S+)\. [^:]*: (\S+)'|force-add of config groups is not supported: '\+\+(.+)=(.+)'"
)
UNSET = re.compile(r"Environment variable '(.*?)' not found\W+full_key: (\S+)")
NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # to write
# What torch and Lightning find out only while they train, and what to do about it.
SAID = {
    "Expected more than 1 value per channel when training": "BatchNorm can't be trained on a batch of one image: raise "
    "data.batch_size (of cached features features.batch_size) to 2 or more, or take norm=layer",
    "No supported gpu backend found": "there is no GPU that PyTorch can use: leave trainer=... out, or add "
    "trainer.accelerator=cpu to trainer=fsdp",
}
UNTRUSTED = "Pass _execution_whitelist_ from trusted code to allow expected targets."  # says Hydra

QUICK = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's takes a tenth of the time

_set_here = False  # the variable FULL_ERROR, and not by the user


class UserError(ValueError):
    """What a user can get wrong: the message is one line that names the key or file, and says what to do."""

    def __init__(self, message: str) -> None:
        if message.startswith("Caught "):  # in a DataLoader's worker: a traceback, which ends in the name and message
            message = message.rsplit(f"{type(self).__name__}: ", maxsplit=1)[-1].rstrip()
        super().__init__(printable(message))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback, and so a notebook."""
        return [f"error: {self}"]


def printable(text: object) -> str:
    r"""Text that can be written anywhere, with `\xfc` for a byte of a file's name that isn't UTF-8."""
    return os.fsencode(str(text)).decode(errors="backslashreplace")


@contextmanager
def readable_errors() -> Iterator[None]:
    """Print the user's mistakes as one line and exit with 1; HYDRA_FULL_ERROR=1 shows their tracebacks, too."""
    global _set_here
    if os.environ.get(FULL_ERROR) == "1":
        yield
        return
    os.environ[FULL_ERROR], _set_here = "1", True  # Hydra hands errors over to us instead of printing them
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)  # before there was anything to lose
    except Exception as error:
        _exit_if_explained(error)
        raise
    finally:
        del os.environ[FULL_ERROR]
        _set_here = False


@contextmanager
def readable_job() -> Iterator[None]:
    """End the process for a user's mistake in a job of its own; a sweep hears of it, and goes on with its other jobs.

    Hydra would print the job's overrides before every error. What `readable_errors` has set is hidden in here:
    processes that a job starts inherit it, and would print tracebacks.
    """
    hidden = {FULL_ERROR: os.environ.pop(FULL_ERROR)} if _set_here else {}
    try:
        yield
    except Exception as error:
        if hidden and HydraConfig.get().mode != RunMode.MULTIRUN:
            _exit_if_explained(error)
        raise
    finally:
        os.environ.update(hidden)


def _exit_if_explained(error: Exception) -> None:
    message = explain(error)
    if message is not None:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.FileHandler):  # train.log; the terminal is told as the process ends
                handler.handle(logging.makeLogRecord({"msg": f"error: {message}", "levelno": logging.ERROR}))
        traceback.clear_frames(error.__traceback__)  # DataLoaders end their workers once nothing holds them
        sys.exit(f"error: {message}")


def explain(error: BaseException) -> str | None:
    """What a user should read about `error`, in one line; None when it is a bug."""
    is_lightnings = type(error).__name__ == "MisconfigurationException"
    if is_lightnings or isinstance(error, ValueError):
        if said := [text for start, text in SAID.items() if start in str(error)]:
            return said[0]
        if is_lightnings or isinstance(error, UserError):
            return _one_line(error)
    if type(error).__name__ == "OutOfMemoryError":  # by name, as importing torch takes long
        return (
            "the device has too little memory for this batch: halve data.batch_size, and double "
            "+trainer.accumulate_grad_batches, which is 1"
        )
    notes = " ".join(getattr(error, "__notes__", ())[:1])  # of the innermost node
    if notes == "full_key: trainer" and _raised_in(error, "lightning."):
        return f"trainer: {_one_line(error)}"
    is_called_wrongly = isinstance(error, TypeError) and re.search(r"\(\) (missing|takes)", str(error))
    if is_called_wrongly and notes.startswith("full_key: ") and _raised_in(error, "hydra."):
        return f"{notes.removeprefix('full_key: ')}._target_ isn't given what it takes: {error}"
    cause = error.__cause__ or error  # logging wraps it
    if isinstance(cause, OSError) and cause.errno in NO_PLACE:
        file = printable(cause.filename or "the disk")
        return f"{file}: {cause.strerror}; free some space, change its permissions, or set hydra.run.dir or data_dir"
    if isinstance(error, InstantiationException):
        return _explain_instantiation(error)
    if choice := _explain_choice(error):
        return choice
    if unset := UNSET.search(str(error)):
        return f"{unset[2]} takes the environment's {unset[1]}, which isn't set: set it, or put it into the file .env"
    if isinstance(error, ConfigCompositionException) and isinstance(error.__cause__, OmegaConfBaseException):
        return explain_key(error.__cause__.full_key or "")
    if str(error).startswith("Config group override must be"):  # Hydra doesn't say which
        return "a choice is a name, as in augment=light, and not true, false or null; python train.py --help lists all"
    return _one_line(error) if isinstance(error, HydraException | OmegaConfBaseException) else None


def _explain_choice(error: BaseException) -> str | None:
    """Of a choice that isn't there, or that was typed with a '+' as if its group had none."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        files = error.options or [path.stem for path in sorted((CONF_DIR / group).glob("*.yaml"))]
        options = [option for option in files if not option.startswith("_")]
        hint = f"{did_you_mean(name, options)}there are {', '.join(options)}"
        return f"there is no {group or '--config-name'}={name}; {hint}"
    if second := SECOND_CHOICE.search(str(error)):
        group, name = second[1] or second[3], second[2] or second[4]
        beside = f", or {group}=[OTHER,{name}] to have it beside another" if group in SEVERAL else ""
        return f"{group} has a choice: type {group}={name}, without the '+', to have it in its place{beside}"
    return None


def _raised_in(error: BaseException, package: str) -> bool:
    """Whether a package has raised it; Hydra only where a call failed in itself, by its arguments."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "").startswith(package)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _explain_instantiation(error: InstantiationException) -> str | None:
    """Of a `_target_` that Hydra refuses, or that isn't there; what fails in importing or calling it is a bug."""
    cause, target = error.__cause__, str(error).partition("'")[2].partition("'")[0]
    if cause is None:
        return _one_line(error).replace(UNTRUSTED, "If you trust it, add it to TRUSTED (src/project/__init__.py).")
    while cause.__cause__ and not isinstance(cause, UserError):
        cause = cause.__cause__
    missing = str(getattr(cause, "name", None))  # what was looked for; it may be another that the target's file needs
    is_module = isinstance(cause, ModuleNotFoundError) and f"{target}.".startswith(f"{missing}.")
    if is_module or (isinstance(cause, AttributeError) and missing in target.split(".")):
        return f"there is no {target} ({' '.join(re.findall('full_key: (.*)', str(error)))}._target_)"
    return explain(cause)


def explain_key(key: str) -> str:
    """What to do about a key that the config doesn't have."""
    known, (parent, _, last) = known_keys(), key.rpartition(".")
    is_open = key.startswith(OPEN) or ("." in parent and f"{parent}._target_" in known)  # model.scheduler, ...
    if key in known:
        more = f", or say +{key}=..." if is_open else ""
        return f"there is no {key} with these choices; it comes with {' or '.join(known[key])}{more}"
    beside = {name: one for one in known for above, _, name in [one.rpartition(".")] if above == parent}
    if is_open and beside:
        close = [beside[name] for name in get_close_matches(last, [one for one in beside if one[0] != "_"], 1, CUTOFF)]
    else:  # data.augment was meant to be augment
        close = [last] if last in known else get_close_matches(key, known, 1, CUTOFF)
    hint = f"did you mean {close[0]}? " if close else ""
    choices = sorted(path.stem for name in close for path in CONF_DIR.glob(f"{name}/[!_]*.yaml"))  # of a group
    hint += f"its choices are {', '.join(choices)}; " if choices else ""
    more = f"; what a Trainer, logger, callback or _target_ takes beyond, +{key}=... adds" if is_open else ""
    return f"there is no {key} in the config; {hint}python train.py --help lists all{more}"


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """Those of `known` that `word` was maybe meant to be, as a question and a space; "" when none is like it."""
    close = get_close_matches(word, list(known), most, CUTOFF)
    return f"did you mean {' or '.join(close)}? " if close else ""


def listed(names: Sequence[object], most: int = 10) -> str:
    """Names in one line, `most` of them: `a; b; c and 12 more`."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return printable("; ".join(map(str, names[:most])) + more)


def known_keys() -> dict[str, list[str]]:
    """Every key that some file below conf/ gives a value, such as `head` or `model.lr`, and the choices that do so."""
    return _keys_below(CONF_DIR)


@cache
def _keys_below(folder: Path) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("[!_]*.yaml")):
        group, text = ".".join(path.relative_to(folder).parent.parts), path.read_text()
        # With those beside it that are no choices, such as conf/data/_images.yaml.
        texts = [text, *(shared.read_text() for shared in path.parent.glob("_*.yaml") if shared.stem in text)]
        found = {group}.union(*(_dotted(yaml.load(text, QUICK), _package(text, group)) for text in texts))
        for key in found:
            keys.setdefault(key, []).append(f"{group}={path.stem}")
    return keys


def _package(text: str, group: str) -> str:
    return "" if text.startswith("# @package _global_") or not group else f"{group}."


def _dotted(node: Any, prefix: str) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}"
        yield from _dotted(value, f"{prefix}{key}.")
