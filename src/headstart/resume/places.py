"""Files and folders that a config names: whether they are there, before anything is loaded."""

import ast
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from omegaconf import DictConfig

from ..errors import UserError
from ..files import WEIGHTS_SUFFIXES
from ..images.folders import foreign, walk
from .arguments import parameters_of, targets


def check_places(cfg: DictConfig) -> None:
    """Raise UserError for a value whose parameter is annotated by a name of headstart.files, and that isn't such."""
    for key, node in targets(cfg):
        for name, annotation in (parameters_of(node) or {}).items():
            check_place(f"{key}.{name}", node.get(name), annotation)


def check_place(key: str, value: object, annotation: ast.expr | None) -> None:
    """The same for one value, and the annotation of its parameter."""
    kinds = {part.id for part in ast.walk(annotation) if isinstance(part, ast.Name)} if annotation else set()
    for kind in kinds & CHECKS.keys():
        if isinstance(value, str):
            CHECKS[kind](Path(value).expanduser(), key)


def _class_folders(path: Path, key: str) -> None:
    if not path.is_dir():
        raise UserError(f"there is no folder {path} ({key})")
    if not any(child.is_dir() for child in path.iterdir()):
        raise UserError(f"no images in {path} ({key}): one folder per class is expected, and there is no folder in it")
    if all(map(foreign, chain.from_iterable(names for _, place, names in walk({key: path}) if place != str(path)))):
        raise UserError(f"no images in {path} ({key}): one folder per class is expected, and there is no file in them")


def _table_file(path: Path, key: str) -> None:
    if not path.is_file():
        raise UserError(f"there is no file {path} ({key})")


def _weights_file(path: Path, key: str) -> None:
    # Else it may be the name of published weights; a URL has a line of its own.
    is_file = path.suffix in WEIGHTS_SUFFIXES or path.is_absolute()
    if is_file and ":/" not in str(path) and not path.exists():
        raise UserError(f"there is no weights file {path.absolute()} ({key})")


CHECKS: dict[str, Callable[[Path, str], None]] = {
    "ClassFolders": _class_folders, "TableFile": _table_file, "WeightsFile": _weights_file
}  # fmt: skip
