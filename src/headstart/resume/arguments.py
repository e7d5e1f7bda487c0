"""What a config's `_target_`s can be given, read from their source: to import torch or Lightning takes seconds."""

import ast
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from ..errors import CONF_DIR, UserError, did_you_mean, known_keys, listed

TARGET, REFERENCE = "_target_", re.compile(r"\$\{(\w[\w.]*)\}")
TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "None": "null"}
NAMED = ("callbacks", "logger")  # whose members have any name
EXPERIMENT, ALMOST = "experiment", 0.75  # of the likeness of two words
HOPS = 8  # from import to import, and from a function to those that it hands its options on to

Parameters = dict[str, ast.expr | None]  # annotations by name


class Definition(NamedTuple):
    """A function or class in the source of a module."""

    module: str
    node: ast.FunctionDef | ast.ClassDef


def check_arguments(cfg: DictConfig, raw: DictConfig) -> None:
    """Compare what every `_target_` of a config is given with what it takes; raises UserError that names the key.

    `raw` is the same config with its interpolations.
    """
    check_names(cfg)
    for group in NAMED:
        for name, node in (cfg[group] or {}).items():
            if node is not None and TARGET not in node:
                hint = did_you_mean(str(name), [other for other in cfg[group] if other != name])
                raise UserError(f"there is no {group}.{name} with these choices; {hint}a new one needs a {TARGET}")
    for key, node in targets(cfg):
        if (parameters := parameters_of(node)) is None:
            continue
        as_written: Any = OmegaConf.to_container(OmegaConf.select(raw, key))
        for name in (str(name) for name in node if not str(name).startswith("_")):
            if name in parameters:
                written = REFERENCE.fullmatch(str(as_written[name]))  # where its value comes from
                _check_value(written[1] if written else f"{key}.{name}", node[name], parameters[name])
            elif f"{key}.{name}" not in _referred():  # such as backbone.freeze, which is for others
                hint = did_you_mean(name, parameters) or f"it takes {listed(sorted(parameters))}"
                if f"{key}.{name}" in known_keys():  # as another was the target when conf/ gave it a value
                    hint = f"'~{key}.{name}' leaves it out; {hint}"
                raise UserError(f"there is no {key}.{name}: {node[TARGET]} doesn't take it; {hint.strip()}")


def parameters_of(node: DictConfig) -> Parameters | None:
    """What the node's `_target_` takes, and what those below it take: they may be called with others, as data.read."""
    parameters = takes(node[TARGET])
    for child in node.values() if parameters is not None else ():
        if isinstance(child, DictConfig) and TARGET in child:
            parameters = {**(takes(child[TARGET]) or {}), **(parameters or {})}
    return parameters


def check_names(cfg: DictConfig) -> None:
    """Raise UserError for a key outside of any `_target_` that is almost one of conf/; any other may be an owner's."""
    plain = {str(key): node for key, node in cfg.items() if isinstance(node, DictConfig) and TARGET not in node}
    keys = [*map(str, cfg), *(f"{key}.{name}" for key, node in plain.items() if key not in NAMED for name in node)]
    said = _words(CONF_DIR)
    for key in keys:
        if key.rpartition(".")[2] not in said and not (CONF_DIR / key).is_dir():
            known = [name for name, choices in known_keys().items() if not choices[0].startswith(EXPERIMENT)]
            if close := get_close_matches(key, known, 1, ALMOST):
                raise UserError(f"there is no {key}: did you mean {close[0]}? python train.py --help lists all")


@cache  # for all jobs of a sweep
def _words(folder: Path) -> set[str]:
    """Every key in the files below a folder, but for experiments, which may misspell it, too."""
    files = [path for path in folder.rglob("*.yaml") if path.parent.name != EXPERIMENT]
    return set(re.findall(r"(\w+):", " ".join(path.read_text() for path in files)))


@cache
def _referred() -> set[str]:
    """The keys whose values other keys of conf/ take."""
    return {key for path in CONF_DIR.rglob("*.yaml") for key in REFERENCE.findall(path.read_text())}


def check_given(key: str, node: DictConfig, parameters: Parameters) -> None:
    """Raise UserError for a value below `key` that is of none of the types which its parameter names."""
    for name in map(str, node):
        if name in parameters:
            _check_value(f"{key}.{name}", node[name], parameters[name])


def _check_value(key: str, value: object, annotation: ast.expr | None) -> None:
    wanted = _choices(annotation) if annotation else None
    if wanted is None or OmegaConf.is_config(value):
        return
    kinds = {type(value).__name__, repr(value), "float" if type(value) is int else ""}
    if value is not None and not kinds & set(wanted):
        raise UserError(f"{key}={value} must be {' or '.join(TYPES.get(one, one.strip(chr(39))) for one in wanted)}")


def _choices(annotation: ast.expr) -> list[str] | None:
    """The plain types and values that an annotation speaks of; None where there is anything else in it."""
    if isinstance(annotation, ast.BinOp):
        sides = [_choices(annotation.left), _choices(annotation.right)]
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in ("Optional", "Union", "Literal"):
        inside = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        if ast.unparse(annotation.value) == "Literal":
            return [ast.unparse(one) for one in inside]
        sides = [_choices(one) for one in inside]
    else:
        text = ast.unparse(annotation).replace("WeightsFile", "str")
        return [text] if text in TYPES else None
    return None if None in sides else [one for side in sides for one in side or ()]


def targets(node: DictConfig, key: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every node with a `_target_`, and its key."""
    for name, child in node.items():
        if isinstance(child, DictConfig):
            path = f"{key}.{name}".lstrip(".")
            if TARGET in child:
                yield path, child
            yield from targets(child, path)


@cache
def takes(target: str) -> Parameters | None:
    """The parameters of what `target` names; None where its source isn't there, or takes whatever it is given."""
    module, _, name = target.rpartition(".")
    definition = _find(module, name)
    return _parameters(definition) if definition else None


def own_parameters(target: str) -> Parameters:
    """Those that the function or class itself names, whatever else it takes; none where its source isn't there."""
    module, _, name = target.rpartition(".")
    definition = _find(module, name)
    function = _function(definition.node) if definition else None
    return _named(function) if function else {}


def _parameters(found: Definition, hops: int = HOPS) -> Parameters | None:
    """Of a function, or of a class's `__init__`, with those of what its `**options` are handed on to."""
    function = _function(found.node)
    if not function:
        return (_fields(found.node) if isinstance(found.node, ast.ClassDef) else None) or _of_bases(found, hops)
    spec, own = function.args, _named(function)
    for call in ast.walk(function) if spec.kwarg else ():
        options = [keyword.value for keyword in call.keywords if not keyword.arg] if isinstance(call, ast.Call) else []
        if isinstance(call, ast.Call) and spec.kwarg and spec.kwarg.arg in map(ast.unparse, options):
            is_base = ast.unparse(call.func) == "super().__init__"
            others = _of_bases(found, hops) if is_base else _of(found, call.func, hops)
            return None if others is None else {**others, **own}
    return None if spec.kwarg else own


def _function(node: ast.FunctionDef | ast.ClassDef) -> ast.FunctionDef | None:
    """The function itself, or a class's own `__init__`."""
    if isinstance(node, ast.FunctionDef):
        return node
    return next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)


def _named(function: ast.FunctionDef) -> Parameters:
    spec = function.args
    return {one.arg: one.annotation for one in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs) if one.arg != "self"}


def _fields(node: ast.ClassDef) -> Parameters | None:
    """Of a dataclass."""
    if node.bases or not any("dataclass" in ast.unparse(one) for one in node.decorator_list):
        return None
    return {ast.unparse(one.target): one.annotation for one in node.body if isinstance(one, ast.AnnAssign)}


def _of_bases(found: Definition, hops: int) -> Parameters | None:
    bases = found.node.bases if isinstance(found.node, ast.ClassDef) else []
    return next(filter(None, (_of(found, base, hops) for base in bases)), None)


def _of(found: Definition, name: ast.expr, hops: int) -> Parameters | None:
    other = _find(found.module, name.id) if isinstance(name, ast.Name) and hops else None
    return _parameters(other, hops - 1) if other else None


def _find(module: str, name: str, hops: int = HOPS) -> Definition | None:
    """A function or class, in whichever file it is imported from."""
    package, tree = source(module)
    for node in tree.body if hops else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return Definition(module, node)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    origin = resolve_name("." * node.level + (node.module or ""), package)
                    return _find(origin, alias.name, hops - 1)
    return None


@cache
def source(module: str) -> tuple[str, ast.Module]:
    """The package that a module belongs to, and its source; nothing where there is none."""
    top, *rest = module.split(".")
    spec = find_spec(top) if top else None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [(module, Path(folder, *rest, "__init__.py")) for folder in folders]
    files += [(module.rpartition(".")[0], Path(folder, *rest).with_suffix(".py")) for folder in folders if rest]
    files += [("", Path(spec.origin))] if spec and spec.origin and not folders else []
    for package, path in files:
        try:
            return package, ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
    return "", ast.Module([], [])
