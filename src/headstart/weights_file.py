"""Weights of one's own: a checkpoint of the backbone, from whatever training wrote it."""

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .errors import UserError
from .loading import reason

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
NESTED = ("state_dict", "model")  # below which Lightning, timm and torchvision's scripts put the weights
SHOWN = 3

log = logging.getLogger(__name__)


def weights_path(weights: str | None) -> Path | None:
    """The absolute path of a file if that is what `weights` names, by its ending."""
    path = Path(weights or "").expanduser()
    return path.absolute() if path.suffix in SUFFIXES else None


def load_weights_file(network: nn.Module, path: Path, classifier: Iterable[str] = ()) -> None:
    """Fill `network` with the tensors in the file at `path`, a state dict or a checkpoint that holds one.

    What all names begin with, such as "model." or "module.backbone.", is found by what fits. Everything that the
    network has must be there (but for BatchNorm's count of batches), in the right shape. Left out are modules that
    the network hasn't got at all, and those named in `classifier`.

    Raises:
        UserError: there is no such file, it can't be read, or doesn't fit; with a few of the names that don't.
    """
    wanted = network.state_dict()
    found = _read(path)
    prefix = _prefix(found, wanted)
    found = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    fitting = {name: found.pop(name) for name in wanted if name in found}
    modules = {name.partition(".")[0] for name in wanted}
    left_out = [
        n for n in found if n.partition(".")[0] not in modules or n.startswith(tuple(f"{c}." for c in classifier))
    ]
    problems = {
        "missing": [n for n in wanted if n not in fitting and not n.endswith("num_batches_tracked")],
        "of another shape": [
            f"{n} {list(value.shape)} instead of {list(wanted[n].shape)}"
            for n, value in fitting.items()
            if value.shape != wanted[n].shape
        ],
        "unexpected": [n for n in found if n not in left_out],
    }
    if any(problems.values()):
        texts = [f"{len(names)} {what} ({_some(names)})" for what, names in problems.items() if names]
        raise UserError(f"{path} does not fit the backbone's {len(wanted)} entries: {', '.join(texts)}")
    network.load_state_dict(fitting, strict=False)
    log.info(f"weights: {len(fitting)} entries from {path}" + (f"; left out: {_some(left_out)}" if left_out else ""))


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    try:
        content = _load(path)
    except Exception as error:  # damaged files fail in many ways: zip, pickle, header, end of file
        raise UserError(
            f"{path} can't be read as weights: it must hold tensors and plain values ({reason(error)})"
        ) from error
    for key in NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = (
        {n: value for n, value in content.items() if isinstance(value, Tensor)} if isinstance(content, dict) else {}
    )
    if not tensors:
        raise UserError(f"{path} holds no state dict, which maps names to tensors")
    return tensors


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _prefix(names: Iterable[str], wanted: Iterable[str]) -> str:
    """What stands before the wanted names in most of the `names`."""
    wanted, prefixes = set(wanted), Counter[str]()
    for name in names:
        parts = name.split(".")
        for i in range(len(parts)):
            if ".".join(parts[i:]) in wanted:
                prefixes["".join(f"{part}." for part in parts[:i])] += 1
    return prefixes.most_common(1)[0][0] if prefixes else ""
