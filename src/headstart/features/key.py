"""What features depend on: as metadata for people, and as the name of the file that holds them."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from typing import Any

from ..backbone import Preprocessing
from ..files import manifest
from ..images.table import Sample

FORMAT = 1  # raise it whenever the same inputs come to other features
PACKAGES = ("torch", "torchvision", "timm", "pillow", "numpy")  # networks, kernels, decoders and random numbers


def feature_metadata(
    spec: dict[str, Any],
    digest: str,
    preprocessing: Preprocessing,
    precision: str,
    samples: Sequence[Sample],
    view: int,
    verify: str,
) -> dict[str, Any]:
    """Everything that can change a feature: weights, preprocessing, precision, library versions, view and files."""
    paths = [sample.path for sample in samples]
    return {
        **model_metadata(spec, digest, preprocessing, precision, view),
        "files": manifest(paths, verify),
        "folder": os.path.abspath(os.path.commonpath(paths)),  # noqa: PTH100 (the same however it was typed)
        "images": len(paths),
    }


def model_metadata(
    spec: dict[str, Any], digest: str, preprocessing: Preprocessing, precision: str, view: int
) -> dict[str, Any]:
    """All of them but the files."""
    return {
        "format": FORMAT,
        "backbone": spec,
        "digest": digest,
        "preprocessing": asdict(preprocessing),
        "precision": precision,
        "versions": versions() | versions_of_extras(str(spec.get("_target_"))),
        "view": view,
    }


@cache
def versions() -> dict[str, str]:
    """Those of the packages that matter; reading them takes longer than listing a thousand files."""
    return {name: version(name) for name in PACKAGES}


def versions_of_extras(target: str) -> dict[str, str]:
    """Those of the packages that only some backbones need."""
    return {"transformers": version("transformers")} if target.endswith(".from_huggingface") else {}


def feature_key(metadata: dict[str, Any]) -> str:
    """The metadata as 32 hexadecimal digits; any change in them gives others."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()[:32]
