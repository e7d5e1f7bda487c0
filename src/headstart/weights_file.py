"""A file with weights: what it holds, by name; or why it can't be read."""

import re
import warnings
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor
from torch.serialization import safe_globals

from .errors import UserError

State = dict[str, Tensor]

LIGHTNING = "pytorch-lightning_version"  # a key of its checkpoints, whose weights are in "state_dict"
LEVELS = 4  # of mappings in each other: a teacher's state dict may stand on the second or third
SAVE = 'where it was made, write torch.save(model.state_dict(), "weights.pth"), and name that file'
NO_WEIGHTS = {  # how a file begins that is something else
    b"<": "it is a web page: download the file itself",
    b"version https://git-lfs": "it is a pointer of Git LFS: git lfs pull gets the file itself",
}


def reason(error: Exception) -> str:
    """An error in one short line, for the end of a message that says what to do about it."""
    return shorten(f"{type(error).__name__}: {error}", width=200)


def read_content(path: Path) -> dict[Any, Any]:
    """What a file holds, whatever its name ends in: tensors on the CPU, and plain values; no code in it is run.

    Raises UserError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is a folder: name a file in it" if path.is_dir() else f"there is no weights file {path}"
        )
    try:
        content = _read(path)
    except Exception as error:  # damaged files fail in many ways: zip, pickle, header, end of file
        with path.open("rb") as file:
            start = file.read(64)
        code = re.search(r"GLOBAL (\S+)", str(error))
        other = f"it holds a {code[1]}, which is no tensor and could run code" if code else reason(error)
        why = f"{other.partition(' In PyTorch 2.6')[0]}; {SAVE}"
        why = next((what for sign, what in NO_WEIGHTS.items() if start.startswith(sign)), why)
        raise UserError(f"{path} can't be read as weights: {why if start else 'it is empty'}") from error
    if isinstance(content, dict):
        return content
    raise UserError(f"{path} holds no state dict, which maps names to tensors, but a {type(content).__name__}; {SAVE}")


def _read(path: Path) -> Any:
    from safetensors.torch import load_file

    # Plain values: what was typed for many a training script.
    with path.open("rb") as file, safe_globals([Namespace]), warnings.catch_warnings(action="ignore"):
        if file.read(9)[8:] == b"{":  # after eight bytes of its length, safetensors begins with JSON
            return load_file(path)
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)


def state_dicts(content: Any, place: str = "", levels: int = LEVELS) -> Iterator[tuple[str, State]]:
    """All mappings of names to tensors in `content`, after where they stand: "", "state_dict." or "ema.model."."""
    if not isinstance(content, dict) or not levels:
        return
    if found := {str(name): value for name, value in content.items() if isinstance(value, Tensor)}:
        yield place, found
    for name, value in content.items():
        yield from state_dicts(value, f"{place}{name}.", levels - 1)
