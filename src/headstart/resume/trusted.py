"""What a run's folder may say about how to go on with it: the folder may come from a stranger, so it runs no code."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString
from hydra.errors import HydraException

from ..errors import CONF_DIR, UserError
from ..specs import from_spec

# Besides what conf/ names. Not all of headstart, as load_backbone builds whatever its argument says; and no loggers,
# as W&B's sends your key to the server of its argument's choice.
MODULES = (
    "project.model.heads",
    "project.callbacks",
    "headstart.resume.last_checkpoint",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "timm.optim",
    "timm.scheduler",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.profilers",
)
PLACES = ("hydra", "run_dir", "sweep_dir")  # where configs come from and files go to: for who types the command
NAME = re.compile(r"\w[\w.-]*")  # of a file below conf/, and not its path
# To another value of the config; a resolver could read or build anything, and half of one be put together with another.
REFERENCE = re.compile(r"\$\{[\w.]+\}")


def read_plainly(path: Path) -> Any:
    """The values in a YAML file, interpolations being text; None where there is no file, or no whole one."""
    try:
        return yaml.safe_load(path.read_text())
    except (FileNotFoundError, UnicodeDecodeError, RecursionError, yaml.YAMLError):
        return None


def refuse_strangers_code(overrides: Any, source: Path) -> list[str]:
    """Give the overrides back that the file `source` holds, if all they do is choose from conf/ and set plain values.

    Raises:
        TypeError: they are no list.
        UserError: one is not an override, or could run code, read the environment, or choose other configs or folders.
    """
    if not isinstance(overrides, list):
        raise TypeError(f"{source} holds no list of overrides")
    for override in overrides:
        reason = _objection(override)
        if reason:
            raise UserError(
                f"{source} is refused, as a stranger could have written it: {override!r} {reason}; "
                "if it is yours, take it out of there and type it"
            )
    return overrides


def _objection(text: Any) -> str | None:
    """Why an override can't be trusted; None when it can."""
    if not isinstance(text, str):
        return "is not an override"
    try:
        override = OverridesParser.create().parse_override(text)
    except (HydraException, RecursionError):  # a flag, such as --config-dir, is none either
        return "is not an override"
    key, package = override.key_or_group, override.package or ""
    if any(re.split(r"[./]", name)[0] in PLACES for name in (key, package)):
        return "chooses where configs come from or files go to"
    values = list(walk(key.split(".")[-1], override.value()))
    if _is_group(override) and not all(isinstance(value, Glob) or NAME.fullmatch(str(value)) for _, value in values):
        return "is not a choice of conf/"
    return _objection_to_targets(key, values) or _objection_to_interpolations(values)


def _is_group(override: Override) -> bool:
    """Whether Hydra takes the value for the name of a file below conf/; a dict can't be one."""
    return (CONF_DIR / override.key_or_group).is_dir() and not isinstance(override.value(), dict)


def walk(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Everything in a value that is not a list, with the key that it is directly below."""
    if isinstance(value, ChoiceSweep):
        for choice in value.list:
            yield from walk(key, choice)
    elif isinstance(value, list):
        for item in value:
            yield from walk(key, item)
    elif isinstance(value, dict):
        yield key, "a dict"
        for name, item in value.items():
            yield from walk(str(name), item)
    else:
        yield key, value.text if isinstance(value, QuotedString) else value


def _objection_to_targets(key: str, values: list[tuple[str, Any]]) -> str | None:
    below_target = "_target_" in key.split(".")[:-1]
    for name, target in values:
        if (name == "_target_" or below_target) and target is not None and not _is_known(str(target)):
            return f"would run {target}, which no file below conf/ names"
    return None


def _is_known(target: str) -> bool:
    module, _, name = target.rpartition(".")
    if target in _named_in_conf():
        return True
    if module not in MODULES or name.startswith("_"):
        return False
    try:
        from_spec({"_target_": target}, (module,))  # not what the module has from elsewhere
    except ValueError:
        return False
    return True


@lru_cache
def _named_in_conf() -> frozenset[str]:
    texts = [path.read_text() for path in CONF_DIR.rglob("*.yaml")]
    return frozenset(target for text in texts for target in re.findall(r"\b_target_: *([\w.]+)", text))


def _objection_to_interpolations(values: list[tuple[str, Any]]) -> str | None:
    for _, value in values:
        if isinstance(value, str) and "$" in REFERENCE.sub("", value):
            return "has an interpolation that is more than the name of another key"
    return None
