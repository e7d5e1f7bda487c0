"""A function and its arguments as plain values, and back: how a checkpoint says what its parts were made of."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

from .errors import UserError

Spec = dict[str, Any]


def to_spec(function: Callable[..., Any]) -> Spec:
    """Write a function or a `functools.partial` of one as `{"_target_": its dotted name, **keyword arguments}`."""
    if isinstance(function, functools.partial):
        assert not function.args, "positional arguments have no name to be stored under"
        return to_spec(function.func) | function.keywords
    return {"_target_": f"{function.__module__}.{function.__qualname__}"}


def from_spec(spec: Spec, trusted: tuple[str, ...]) -> Callable[..., Any]:
    """Turn what `describe` wrote back into a `functools.partial`.

    Raises:
        UserError: the spec names something outside the `trusted` modules, or something that isn't there. A
            checkpoint is a file from a stranger: it may choose among our parts, and never what to run.
    """
    arguments = dict(spec)
    target = str(arguments.pop("_target_"))
    module_name, _, name = target.rpartition(".")
    refusal = f"a checkpoint asks for {target}, which isn't in {' or '.join(trusted)}"
    if not _is_within(module_name, trusted):
        raise UserError(refusal)
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UserError(refusal) from error
    if not _is_within(getattr(function, "__module__", ""), trusted):  # something that a module of ours imported
        raise UserError(refusal)
    return functools.partial(function, **arguments)


def _is_within(module_name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module_name}.".startswith(f"{package}.") for package in packages)
