"""Quotes, for Hydra, around paths and other text that were typed: its grammar would refuse or change many of them."""

import os
import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from ..errors import UserError, printable

MULTIRUN = ("-m", "--multirun")
RESUME = "resume="  # and a run, or a sweep, to go on with
# Keys whose values are paths, or names that may be one, by their last word: `2024_11` is no number there.
PATH = re.compile(
    r"(?:^|[._])(?:root|path|file|dir|folder|filename|dirpath|subdir|weights|resume|name|column|group|fixes)$"
)
SHARDS = re.compile(r"^\+{0,2}data\.(?:train|val|test|classes)$")  # paths, or lists of them
AS_THEY_ARE = ("", "null", "???")
FUNCTION = re.compile(r"(?:choice|range|interval|glob|shuffle|sort|tag)\(")  # of Hydra, which say what a sweep tries
# The values in `a,'b, c',d-{1,2}.tar`.
VALUES = re.compile(r"""\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*(?=,|$)|(?:\{[^}]*\}|[^,])+""")
WAY_OUT = "rename it, or make a link to it"


def quoted(text: str) -> str:
    """The text in quotes, as Hydra wants it."""
    return QuotedString(text, Quote.single).with_quotes()


def text_of(argument: str) -> str:
    """The value of `KEY=VALUE` as text, without quotes; "null" when it is null."""
    override = parsed(argument)
    value = override.value() if override else argument.partition("=")[2]
    return "null" if value is None else str(value)


def parsed(text: object) -> Override | None:
    """An override; None for what is none, such as the flag --config-dir."""
    try:
        return OverridesParser.create().parse_override(text) if isinstance(text, str) else None
    except (HydraException, RecursionError):
        return None


def as_typed(arguments: list[str]) -> list[str]:
    """The arguments, with quotes around what Hydra would refuse, or take for something else than what was typed.

    A path is what was typed where there is such a file or folder; else, in a sweep, commas stand between the jobs'
    values. `~` is the home folder. What is quoted, or a list, stays as it is.

    Raises UserError for a path that no config can hold.
    """
    for argument in arguments:
        if printable(argument) != argument:
            raise UserError(f"{argument} is not UTF-8, as a config has to be: {WAY_OUT}")
    sweeps = any(argument in MULTIRUN for argument in arguments)
    return [_as_typed(argument, sweeps) for argument in arguments]


def _as_typed(argument: str, sweeps: bool) -> str:
    key, _, value = argument.partition("=")
    override, is_shards = parsed(argument), bool(SHARDS.match(key))
    is_path = is_shards or bool(PATH.search(key))
    if value in AS_THEY_ARE or key[:1] in "-~" or not (override or parsed(f"{key}=0")):
        return argument
    if is_path and _is_there(value):
        if "${" in value:
            raise UserError(f"{argument}: in a config, ${{...}} stands for another value: {WAY_OUT}")
        return f"{key}={_element(key, value, is_path)}"
    is_list = value[0] in "[{" and not PATH.search(key)
    if is_list or (override and not is_path) or (sweeps and FUNCTION.match(value)):
        return argument
    values = [one.strip() for one in VALUES.findall(value)] if sweeps else [value]
    return f"{key}={','.join(_element(key, one, is_path) for one in values)}"


def _element(key: str, value: str, is_path: bool) -> str:
    """One value, in quotes unless Hydra reads it as it is."""
    override = parsed(f"{key}={value}")
    found = override.value() if override else None
    if value in AS_THEY_ARE or (override and not is_path):
        return value
    if not _is_there(value):
        if isinstance(found, str) and _is_there(found):  # with Hydra's own backslashes
            return value
        if isinstance(found, str) and value[0] in "'\"":
            if not found.startswith("~"):
                return value
            value = found
    text = os.path.expanduser(value) if is_path else value  # noqa: PTH111 (keeps a slash at the end)
    text = f"./{text}" if is_path and text.startswith("~") else text  # of nobody's: a name
    plain = parsed(f"{key}={text}")
    return text if plain and plain.value() == text else quoted(text)


def _is_there(path: str) -> bool:
    return os.path.lexists(os.path.expanduser(path))  # noqa: PTH111
