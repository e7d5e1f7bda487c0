"""What the features of shards depend on, and which of their rows a split is made of."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...features.file import read_features
from ...features.key import feature_key
from ...files import manifest
from .classes import number_of
from .data import ShardData
from .tar import Packed, is_local


def shard_metadata(common: dict[str, Any], images: ShardData, split: str, verify: str) -> list[dict[str, Any]]:
    """What each shard's features depend on; `common` is what all depend on."""
    common = common | {"max_pixels": images.max_pixels}
    shards = images.split(split).shards
    return [common | {"files": _identity(shard, verify), "folder": shard} for shard in shards]


def split_metadata(shards: list[dict[str, Any]], images: ShardData, name: str) -> dict[str, Any]:
    """What the features of a whole split depend on."""
    split = images.split(name)
    common = {key: value for key, value in shards[0].items() if key not in ("files", "folder")}
    return common | {
        "shards": [feature_key(one) for one in shards],
        "part": [split.low, split.high, split.seed],
        "classes": list(images.classes),
        "folder": f"{len(shards)} shards, {split.shards[0]} first",
    }


def choose(path: Path, shard: str, images: ShardData, name: str) -> tuple[Tensor, Tensor]:
    """Which rows of a shard's file `path` belong to a split, and their labels."""
    stored = json.loads(bytes(read_features(path, "samples").tolist()))
    samples = [Packed(shard, key, b"", label) for key, label in stored]
    rows = [row for row, sample in enumerate(samples) if images.split(name).has(sample)]
    labels = [number_of(samples[row].label, images.numbers, samples[row].name) for row in rows]
    return torch.tensor(rows, dtype=torch.int64), torch.tensor(labels, dtype=torch.int32)


def _identity(shard: str, verify: str) -> str:
    return manifest([os.path.abspath(shard)], verify) if is_local(shard) else shard  # noqa: PTH100 (as in key.py)
