"""Whether what a `_target_` names is there and trusted, seen in its source: to import it takes seconds."""

import ast
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from omegaconf import DictConfig

from ..errors import UserError, did_you_mean
from .arguments import TARGET, source, targets

DYNAMIC = {"globals", "__getattr__", "sys.modules"}  # which can add names to a module


def check_targets(cfg: DictConfig, trusted: Sequence[str]) -> None:
    """Raise UserError for a `_target_` that is no name, that isn't there, or that Hydra's whitelist `trusted` lacks."""
    for key, node in targets(cfg):
        target = node[TARGET]
        if not isinstance(target, str):
            raise UserError(f"{key}.{TARGET}={target} must be the name of a function or class, such as torch.nn.ReLU")
        _refuse_missing(key, target)
        if not any(target == one or (one.endswith("*") and target.startswith(one[:-1])) for one in trusted):
            hint = did_you_mean(target, [one.removesuffix(".*") for one in trusted])
            way = f"{hint}if you trust it, add it to TRUSTED (src/project/__init__.py)"
            raise UserError(f"{key}.{TARGET}={target} isn't trusted: {way}")


def _refuse_missing(key: str, target: str) -> None:
    parts = target.split(".")
    modules = [".".join(parts[:length]) for length in range(1, len(parts)) if _is_module(parts[:length])]
    if not modules:
        raise UserError(f"there is no {target} ({key}.{TARGET}): no package {parts[0]} is installed")
    name = parts[modules[-1].count(".") + 1]
    known = _names(modules[-1])
    if known is not None and name not in known and not _is_module([*modules[-1].split("."), name]):
        public = [one for one in known if not one.startswith("_")]
        hint = did_you_mean(name, public).strip()
        raise UserError(f"there is no {target} ({key}.{TARGET}){': ' * bool(hint)}{hint}")


def _is_module(parts: Sequence[str]) -> bool:
    try:
        spec = find_spec(parts[0])  # of the package alone: that of a module in it would import the package
    except ValueError:  # of __main__, or an empty name
        return False
    if spec is None or len(parts) == 1:
        return spec is not None
    places = [Path(folder, *parts[1:]) for folder in spec.submodule_search_locations or ()]
    return any(place.is_dir() or [*place.parent.glob(f"{place.name}.*")] for place in places)


@cache
def _names(module: str) -> set[str] | None:
    """Every name that the source of a module gives a value anywhere; None where there is no telling."""
    package, tree = source(module)
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name != "__getattr__":  # a class's may be
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            more = _names(resolve_name("." * node.level + (node.module or ""), package))
            if more is None:
                return None
            found |= more
    return None if not tree.body or found & DYNAMIC else found
