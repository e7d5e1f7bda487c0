"""A function and its arguments as plain values, and back: how a checkpoint says what its parts were made of."""

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from pkgutil import resolve_name
from typing import Any

from .errors import UserError

Spec = dict[str, Any]


class Later:
    """The function of a spec, looked for when it is called: to predict, nobody needs a checkpoint's optimizer."""

    def __init__(self, spec: Spec, trusted: tuple[str, ...]) -> None:
        self.spec, self.trusted = spec, trusted

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it; raises UserError like `from_spec`."""
        return from_spec(self.spec, self.trusted)(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(from_spec(self.spec, self.trusted))


def to_spec(function: Callable[..., Any]) -> Spec:
    """Write a function or a `functools.partial` of one as `{"_target_": its dotted name, **keyword arguments}`."""
    if isinstance(function, Later):
        return dict(function.spec)
    if isinstance(function, functools.partial):
        assert not function.args, "positional arguments have no name to be stored under"
        return to_spec(function.func) | function.keywords
    return {"_target_": _own_name(function)}


def from_spec(spec: Spec, trusted: tuple[str, ...]) -> Callable[..., Any]:
    """Turn what `to_spec` wrote back into a `functools.partial`.

    `trusted` is a whitelist as Hydra has them, of dotted names; `some.package.*` is everything below one. Both the
    name and what it leads to must be on it: `torch.nn.modules.os.system` is not torch's.

    Raises UserError when the spec names something else, or something that isn't there. A checkpoint is a file from a
    stranger: it may choose among our parts, and never what to run.
    """
    arguments = dict(spec)
    target = str(arguments.pop("_target_"))
    module, _, name = target.rpartition(".")
    function = None
    if _is_trusted(target, trusted):
        with suppress(ImportError, AttributeError, ValueError):
            function = getattr(resolve_name(f"{module}:"), name)
    if not callable(function) or not _is_trusted(_own_name(function), trusted):
        raise UserError(f"a checkpoint asks for {target}, which isn't in {' or '.join(trusted)}")
    return functools.partial(function, **arguments)


def _own_name(function: Any) -> str:
    """Where it was defined, wherever it was found."""
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"


def _is_trusted(name: str, trusted: tuple[str, ...]) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith(".*") else name in (one, _found(one)) for one in trusted)


def _found(name: str) -> str | None:
    """The own name of what is trusted by another, as `lightning.Trainer` is."""
    try:
        return _own_name(resolve_name(name))
    except (ImportError, AttributeError):
        return None
