"""One set of features as a safetensors file: written row by row, whole or not there at all, read by memory mapping."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import UserError

FLOAT32 = 4  # bytes
DTYPES = {torch.int32: "I32", torch.uint8: "U8"}


def write_rows(
    path: Path,
    shape: tuple[int, int],
    first: int,
    batches: Iterable[Tensor],
    metadata: dict[str, Any],
    beside: Mapping[str, Tensor] | None = None,
) -> None:
    """Write float32 features batch by batch, from row `first` on, to the file `path` of `shape` rows and columns.

    Several processes may do so for one file, each with its own rows; one that writes all of them can put int32 or
    uint8 tensors `beside` them. The format is https://github.com/huggingface/safetensors#format; `metadata` is kept
    in its header. Raises OSError (a full disk).
    """
    beside = beside or {}
    header = _header(shape, metadata, beside)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
        file.write(header)
        file.truncate(len(header) + shape[0] * shape[1] * FLOAT32)
        file.seek(len(header) + first * shape[1] * FLOAT32)
        for batch in batches:
            # Not through a memory map: there, a full disk is no error but the end of the process.
            file.write(batch.contiguous().numpy().data)
        for tensor in beside.values():
            file.write(tensor.contiguous().numpy().data)
        file.flush()
        os.fsync(file.fileno())


def read_features(path: Path, name: str = "features") -> Tensor:
    """The features [images, num_features], or what is beside them, memory-mapped; raises UserError when damaged.

    The file's time of change is set to now: that is how `prune` knows what is in use.
    """
    with suppress(OSError):  # somebody else's, who lets us read it
        os.utime(path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): delete it, and it is computed again") from error


def _header(shape: tuple[int, int], metadata: dict[str, Any], beside: Mapping[str, Tensor]) -> bytes:
    end = shape[0] * shape[1] * FLOAT32
    tensors = {"features": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}
    for name, tensor in beside.items():
        offsets = [end, end := end + tensor.nbytes]
        tensors[name] = {"dtype": DTYPES[tensor.dtype], "shape": tuple(tensor.shape), "data_offsets": offsets}
    texts = {name: json.dumps(value, sort_keys=True) for name, value in metadata.items()}
    text = json.dumps({"__metadata__": texts} | tensors).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
