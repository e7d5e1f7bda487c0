"""What the constructors of torchvision's data sets take: each calls its splits by other names."""

import inspect
from collections.abc import Mapping
from typing import Any

from ...errors import UserError, did_you_mean

SPLITS = {"train": ("train", "trainval", "train-standard"), "val": ("val", "valid"), "test": ("test",)}
OURS = ("root", "download", "loader", "transform", "target_transform", "transforms")  # not for data.options

Parameters = Mapping[str, inspect.Parameter]


def parameters_of(kind: type) -> dict[str, inspect.Parameter]:
    """What the constructor takes; behind `**kwargs` is what its base's does."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            own = dict(list(inspect.signature(base.__init__).parameters.items())[1:])  # all but self
            found = own | found
            if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own.values()):
                break
    return {name: parameter for name, parameter in found.items() if parameter.kind is not inspect.Parameter.VAR_KEYWORD}


def check_options(name: str, options: Mapping[str, Any], parameters: Parameters) -> None:
    """Raise UserError for an option that the constructor of `name` doesn't take, or one that it has to be told."""
    known = [key for key in parameters if key not in OURS]
    for key in options.keys() - set(known):
        there = ", ".join(known) or "none"
        raise UserError(f"{name} has no option {key} (data.options); {did_you_mean(key, known)}there are: {there}")
    for key in known:
        if parameters[key].default is inspect.Parameter.empty and key not in options:
            raise UserError(f"torchvision's {name} comes in several kinds: choose one with +data.options.{key}=...")


def split_arguments(parameters: Parameters, options: Mapping[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    """The splits, and what asks a constructor for each of them; of several ways, the first that it knows counts."""
    if "train" in parameters and "train" not in options:
        return [("train", {"train": True}), ("test", {"train": False})]
    if "split" in parameters and "split" not in options:
        return [(split, {"split": name}) for split, names in SPLITS.items() for name in names]
    return [(None, {})]
