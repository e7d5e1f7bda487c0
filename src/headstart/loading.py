"""What all loaders share: a network is built from a seed and its weights are read without side effects."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from textwrap import shorten
from urllib.parse import urlparse

import torch

WORKS_OFFLINE = "backbone=efficientnet_lite0 works without a download"


def weights_dir() -> Path:
    """The folder where torch.hub keeps downloaded weights, and where files can be put by hand."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def file_of(url: str) -> Path:
    """Where torch.hub keeps the file that it downloads from `url`."""
    return weights_dir() / PurePosixPath(urlparse(url).path).name


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Random numbers inside come from `seed`, weights are read as tensors only; outside nothing changes.

    torchvision's builders and a fallback of timm's call `torch.load` with `weights_only=False`, which would
    run whatever code a file holds. Neither lets a caller say otherwise, so torch's own switch is set for the
    time of the call; it belongs to the process, hence not for several threads at once.
    """
    with torch.random.fork_rng(devices=[]), _tensors_only():
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every GPU as well
        yield


@contextmanager
def _tensors_only() -> Iterator[None]:
    before = {
        name: os.environ.pop(name, None)
        for name in ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    }
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        yield
    finally:
        del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def reason(error: Exception) -> str:
    """An error in one short line, for the end of a message that says what to do about it."""
    return shorten(f"{type(error).__name__}: {error}", width=200)
