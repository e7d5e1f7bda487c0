"""What the user typed himself, as against what a run's folder says: only the first may run commands."""

import re
from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from ..errors import UserError
from .trusted import walk

SHARDS = re.compile(r"(\+{0,2}data\.(?:train|val|test))=([^'\"\[].*[{|].*)", re.DOTALL)

_typed: list[str] = []  # this process's command line


def note_typed(arguments: list[str]) -> list[str]:
    """Remember a command line, and give it back with shards that hold braces or bars in quotes, as Hydra wants them."""
    quoted = [_quoted(argument) for argument in arguments]
    _typed[:] = quoted
    return quoted


def refuse_untyped_commands(shards: Iterable[str | list[str] | None]) -> None:
    """Raise UserError for a `pipe:`, which runs a shell command, in anything that was not typed as it is.

    It looks at what the whole config came to: no interpolation or brace can hide a command from it.
    """
    from ..extras.shards.tar import has_command

    known = {str(value) for argument in _typed for value in _values(argument)}
    for given in shards:
        for text in [given] if isinstance(given, str) else given or []:
            if has_command(text) and text not in known:
                raise UserError(
                    f"{text!r} runs a shell command, and stands in a config that a stranger could have written: if it "
                    "is yours, type it, as in data.train='pipe:COMMAND'"
                )


def _values(argument: str) -> list[object]:
    try:
        value = OverridesParser.create().parse_override(argument).value()
    except (HydraException, RecursionError):  # a flag
        return []
    return [value for _, value in walk("", value)]


def _quoted(argument: str) -> str:
    match = SHARDS.fullmatch(argument)
    if not match:
        return argument
    return f"{match[1]}='" + match[2].replace("'", "\\'") + "'"
