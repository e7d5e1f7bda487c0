"""What features depend on: as metadata for people, and as the name of the file that holds them."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from typing import Any

from ..backbone import Backbone
from ..files import manifest
from ..images.table import Sample

FORMAT = 1  # raise it whenever the same inputs come to other features
PACKAGES = ("torch", "torchvision", "timm", "pillow", "numpy")  # networks, kernels, decoders and random numbers


def feature_metadata(
    backbone: Backbone, precision: str, samples: Sequence[Sample], view: int, verify: str
) -> dict[str, Any]:
    """Everything that can change a feature: weights, preprocessing, precision, library versions, view and files."""
    paths = [sample.path for sample in samples]
    return {
        **backbone_metadata(backbone, precision, view),
        "files": manifest(paths, verify),
        "folder": os.path.abspath(os.path.commonpath(paths)),  # noqa: PTH100 (the same however it was typed)
        "images": len(paths),
    }


def backbone_metadata(backbone: Backbone, precision: str, view: int) -> dict[str, Any]:
    """All of it but the files."""
    return {
        "format": FORMAT,
        "backbone": backbone.spec,
        "digest": backbone.digest,
        "preprocessing": asdict(backbone.preprocessing),
        "precision": precision,
        "versions": {name: _version(name) for name in (*PACKAGES, *backbone.packages)},
        "view": view,
    }


_version = cache(version)  # reading them takes longer than listing a thousand files


def feature_key(metadata: dict[str, Any]) -> str:
    """The metadata as 32 hexadecimal digits; any change in it gives others."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()[:32]
