"""What the folder of a run may say about how to go on with it, as it may come from a stranger.

Two walls stand between a stranger's folder and this machine. What a `_target_` may name, wherever it stands, is decided
by the whitelist that Hydra is given (TRUSTED in src/project/__init__.py). Everything else that could do harm is
refused here, unless it was typed in this checkout before: interpolations, which can read secrets; other places for
configs and results; and `pipe:`, which runs a shell command.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString

from ..errors import CONF_DIR, PROJECT_DIR, UserError
from .quoting import parsed

# What was typed here and would be refused in a stranger's folder, one JSON string a line. A run's folder can't prove
# that it was made here, as whoever wrote it could have written anything (.hydra/hydra.yaml's cwd, too); this file can:
# who writes beside train.py can change train.py. In another checkout such overrides have to be typed once more.
TYPED = PROJECT_DIR / ".typed"
PLACES = ("hydra", "run_dir", "sweep_dir")  # where configs come from and files go to
# What a config says of them by itself; its folder alone then decides.
OWN_PLACES = {"run_dir": "${hydra:runtime.output_dir}", "sweep_dir": "${hydra:sweep.dir}"}
NAME = re.compile(r"\w[\w.-]*")  # of a file below conf/, and not its path
# To another value of the config; a resolver could read or build anything, and half of one be put together with another.
REFERENCE = re.compile(r"\$\{[\w.]+\}")

_typed: list[str] = []  # this process's command line


def note_typed(arguments: list[str]) -> None:
    """Remember a command line; what a stranger may not say is remembered for later processes, too."""
    _typed[:] = arguments
    remember_overrides(arguments)
    _remember(text for text in arguments if text.startswith("--config-"))


def remember_overrides(typed: list[str]) -> None:
    """Remember those of them that a stranger may not say."""
    overrides = [(text, parsed(text)) for text in typed]
    _remember(text for text, it in overrides if it and (_objection(it) or "pipe" in text.lower()))


def _remember(texts: Iterable[str]) -> None:
    known = set(_remembered())
    if new := [text for text in texts if text not in known]:
        with suppress(OSError), TYPED.open("a") as file:  # where nothing can be written, nothing is remembered
            file.writelines(f"{json.dumps(text)}\n" for text in new)


def is_typed_here(text: str) -> bool:
    """Whether somebody has typed this in this checkout: now, or, where a stranger may not say it, at any time."""
    return text in _typed or text in _remembered()


def remember_config(values: dict[str, Any]) -> None:
    """Remember the config of a run of this checkout, if a stranger might not have it."""
    if _objections(values):
        _remember([_digest(values)])


def refuse_strangers_config(values: dict[str, Any], source: Path) -> None:
    """Raise UserError where the config in the file `source` could read the environment or write elsewhere.

    Unless it is of a run of this checkout.
    """
    objections = _objections(values)
    if objections and _digest(values) not in _remembered():
        raise UserError(
            f"{source} is refused, as a stranger could have written it: {objections[0]}; if it is yours, take it out "
            "of there and type it"
        )


def _objections(values: dict[str, Any]) -> list[str]:
    places = [key for key in ("hydra", "defaults") if key in values]
    places += [key for key, own in OWN_PLACES.items() if values.get(key, own) != own]
    found = [f"{key!r} chooses where configs come from or files go to" for key in places]
    for key, value in leaves({key: value for key, value in values.items() if key not in OWN_PLACES}):
        if any("$" in REFERENCE.sub("", text) for text in (*map(str, key), str(value))):
            name = ".".join(map(str, key))
            found.append(f"{f'{name}={value}'!r} has an interpolation that is more than the name of another key")
    return found


def _digest(values: dict[str, Any]) -> str:
    return f"config {hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()}"


def leaves(node: Any, key: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every key, as its parts, and value below a node of dicts and lists; empty ones are values, too."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if not items or not node:
        yield key, node
    for part, value in items:
        yield from leaves(value, (*key, part))


def _remembered() -> list[str]:
    try:
        return [json.loads(line) for line in TYPED.read_text().splitlines()]
    except (OSError, ValueError):
        return []


def refuse_untyped_commands(commands: Sequence[str]) -> None:
    """Raise UserError for what runs a shell command, as `pipe:` does, and was not typed as it is.

    Give it what the whole config came to: then no interpolation or brace can hide a command.
    """
    overrides = map(parsed, [*_typed, *_remembered()] if commands else ())  # parsing takes a millisecond each
    known = {str(value) for override in overrides if override for value in _walk(override.value())}
    for text in commands:
        if text not in known:
            raise UserError(
                f"{text!r} runs a shell command, and stands in a config that a stranger could have written: if it "
                "is yours, type it, as in data.train='pipe:COMMAND'"
            )


def read_plainly(path: Path) -> Any:
    """The values in a YAML file, interpolations being text; None where there is no file, or no whole one."""
    try:
        return yaml.safe_load(path.read_text())
    except (FileNotFoundError, UnicodeDecodeError, RecursionError, yaml.YAMLError):
        return None


def refuse_strangers_code(overrides: Any, source: Path) -> list[str]:
    """Give the overrides back that the file `source` holds, if all they do is choose from conf/ and set plain values.

    Raises TypeError when they are no list, and UserError when one is not an override, or could read the environment,
    or choose other configs or folders, and was not typed in this checkout.
    """
    if not isinstance(overrides, list):
        raise TypeError(f"{source} holds no list of overrides")
    for text in overrides:
        override = parsed(text)
        reason = _objection(override) if override else "is not an override"
        if reason and text not in _remembered():
            raise UserError(
                f"{source} is refused, as a stranger could have written it: {text!r} {reason}; "
                "if it is yours, take it out of there and type it"
            )
    return overrides


def _objection(override: Override) -> str | None:
    """Why an override can't be trusted; None when it can."""
    key = override.key_or_group
    if any(re.split(r"[./]", name)[0] in PLACES for name in (key, override.package or "")):
        return "chooses where configs come from or files go to"
    values = list(_walk(override.value()))
    is_group = (CONF_DIR / key).is_dir() and not isinstance(override.value(), dict)
    if is_group and not all(isinstance(value, Glob) or NAME.fullmatch(str(value)) for value in values):
        return "is not a choice of conf/"
    if any("$" in REFERENCE.sub("", value) for value in values if isinstance(value, str)):
        return "has an interpolation that is more than the name of another key"
    return None


def _walk(value: Any) -> Iterator[Any]:
    """Everything in a value that is neither a list nor a dict."""
    if isinstance(value, ChoiceSweep):
        value = value.list
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from _walk(item)
    else:
        yield value.text if isinstance(value, QuotedString) else value
