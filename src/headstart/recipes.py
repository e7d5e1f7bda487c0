"""A function and its arguments as plain values, and back: how a checkpoint says what its parts were made of."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

TRUSTED_PACKAGES = ("headstart", "torch", "torchvision")

Recipe = dict[str, Any]


def describe(function: Callable[..., Any]) -> Recipe:
    """Write a function or a `functools.partial` of one as `{"_target_": its dotted name, **keyword arguments}`."""
    if isinstance(function, functools.partial):
        assert not function.args, "positional arguments have no name to be stored under"
        return describe(function.func) | function.keywords
    return {"_target_": f"{function.__module__}.{function.__qualname__}"}


def follow(recipe: Recipe) -> Callable[..., Any]:
    """Turn what `describe` wrote back into a `functools.partial`.

    Raises:
        ValueError: the recipe names something outside `TRUSTED_PACKAGES`, or something that isn't there. A
            checkpoint is a file from a stranger: it may name what to build, never what to run.
    """
    arguments = dict(recipe)
    module_name, _, name = str(arguments.pop("_target_")).rpartition(".")
    if module_name.split(".")[0] not in TRUSTED_PACKAGES:
        raise ValueError(f"a checkpoint asks for {module_name}.{name}, which is outside {', '.join(TRUSTED_PACKAGES)}")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"a checkpoint asks for {module_name}.{name}, which isn't there") from error
    if function.__module__.split(".")[0] not in TRUSTED_PACKAGES:  # `torch.os.system` is not torch's own
        raise ValueError(f"a checkpoint asks for {module_name}.{name}, which is {function.__module__}'s")
    return functools.partial(function, **arguments)
