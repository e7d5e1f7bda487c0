"""Pretrained weights: read without side effects, looked for in the Hub's cache, or in a checkpoint of one's own."""

import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from textwrap import shorten
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from .errors import UserError

WORKS_OFFLINE = "backbone=efficientnet_lite0 works without a download"
SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
NESTED = ("state_dict", "model")  # below which Lightning, timm and torchvision's scripts put the weights
SAFE, UNSAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"

log = logging.getLogger(__name__)


def reason(error: Exception) -> str:
    """An error in one short line, for the end of a message that says what to do about it."""
    return shorten(f"{type(error).__name__}: {error}", width=200)


def weights_dir() -> Path:
    """The folder where torch.hub keeps downloaded weights, and where files can be put by hand."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def download_path(url: str) -> Path:
    """Where torch.hub keeps the file that it downloads from `url`."""
    return weights_dir() / PurePosixPath(urlparse(url).path).name


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Random numbers inside come from `seed`, weights are read as tensors only; outside nothing changes.

    torchvision's builders and a fallback of timm's call `torch.load` with `weights_only=False`, which would
    run whatever code a file holds. Neither lets a caller say otherwise, so torch's own switch is set for the
    time of the call; it belongs to the process, hence not for several threads at once.
    """
    before = {name: os.environ.pop(name) for name in (SAFE, UNSAFE) if name in os.environ}
    os.environ[SAFE] = "1"
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every GPU as well
            yield
    finally:
        del os.environ[SAFE]
        os.environ.update(before)


def hub_cached(repository: str, file: str) -> Path | None:
    """The file in the cache of Hugging Face's Hub, without asking the Hub: that is slow where a firewall hides it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def check_hub_reachable(repository: str, file: str) -> None:
    """Ask the Hub once, as a download retries for minutes; raises ConnectionError without an answer or a repository."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(repository, file))
    except EntryNotFoundError:
        pass  # reachable, but the weights are in another format
    except Exception as error:  # the HTTP client differs between versions of the Hub's package
        raise ConnectionError(error) from error


def weights_path(weights: str | None, published: str | None = None) -> Path | None:
    """The absolute path of a file if that is what `weights` names, by its ending.

    Raises UserError for what is no file, nor None, nor the name of the `published` weights where there is only one.
    """
    path = Path(weights or "").expanduser()
    if path.suffix in SUFFIXES:
        return path.absolute()
    if published and weights not in (published, None):
        choices = f"{published}, null (random), or a file that ends in {', '.join(SUFFIXES)}"
        raise UserError(f"backbone.weights={weights}: choose {choices}")
    return None


def load_weights_file(network: nn.Module, path: Path, classifier: Iterable[str] = ()) -> None:
    """Fill `network` with the tensors in the file at `path`: a state dict, or a checkpoint that holds one.

    A prefix that all names share, such as "model." or "module.backbone.", is found by which names fit. All entries of
    the network must be in the file (but for BatchNorm's count of batches), in the right shape. Entries of modules
    that the network hasn't got at all are left out, and so are those of the modules named in `classifier`.

    Raises UserError: there is no such file, it can't be read, or doesn't fit; with a few of the names that don't.
    """
    wanted = network.state_dict()
    found = _read(path)
    prefix = _prefix(found, wanted)
    found = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    fitting = {name: found.pop(name) for name in wanted if name in found}
    modules, dropped = {name.partition(".")[0] for name in wanted}, tuple(f"{name}." for name in classifier)
    left_out = [n for n in found if n.partition(".")[0] not in modules or n.startswith(dropped)]
    shapes = {n: (list(value.shape), list(wanted[n].shape)) for n, value in fitting.items()}
    problems = {
        "missing": [n for n in wanted if n not in fitting and not n.endswith("num_batches_tracked")],
        "of another shape": [f"{n} {new} instead of {old}" for n, (new, old) in shapes.items() if new != old],
        "unexpected": [n for n in found if n not in left_out],
    }
    if any(problems.values()):
        texts = [f"{len(names)} {what} ({_some(names)})" for what, names in problems.items() if names]
        raise UserError(f"{path} does not fit the backbone's {len(wanted)} entries: {', '.join(texts)}")
    network.load_state_dict(fitting, strict=False)
    log.info(f"weights: {len(fitting)} entries from {path}" + (f"; left out: {_some(left_out)}" if left_out else ""))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    try:
        safe = path.suffix == ".safetensors"
        content: Any = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files fail in many ways: zip, pickle, header, end of file
        needs = "it must hold tensors and plain values"
        raise UserError(f"{path} can't be read as weights: {needs} ({reason(error)})") from error
    for key in NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    entries = content.items() if isinstance(content, dict) else ()
    tensors = {name: value for name, value in entries if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"{path} holds no state dict, which maps names to tensors")
    return tensors


def _prefix(names: Iterable[str], wanted: Collection[str]) -> str:
    """What stands before the wanted names in most of the `names`."""
    parts = ((name, dot.end()) for name in names for dot in re.finditer(r"^|\.", name))
    prefixes = Counter(name[:start] for name, start in parts if name[start:] in wanted)
    return max(prefixes, key=prefixes.__getitem__, default="")
