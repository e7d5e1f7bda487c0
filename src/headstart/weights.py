"""Pretrained weights: read without side effects, looked for in the Hub's cache, or in a file of one's own."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from .errors import UserError
from .files import WEIGHTS_SUFFIXES
from .weights_copies import Copy, Wanted, find_copies, shortened
from .weights_file import LIGHTNING, State, read_content, state_dicts

WORKS_OFFLINE = "backbone=efficientnet_lite0 works without a download"
SAFE, UNSAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"

_waiting: set[Path] = set()  # checkpoints of headstart's, each for the backbone that it names

log = logging.getLogger(__name__)


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


def weights_path(weights: str | None, published: str | None = None, key: str | None = None) -> Path | None:
    """The absolute path of a file if that is what `weights` names: it exists, or looks like a path.

    Raises UserError for a URL, for what is no file, nor None, nor the name of the `published` weights where there is
    only one, and for a `key` without a file.
    """
    if weights is None or weights == published:
        if key:
            raise UserError(
                f"backbone.weights_key={key} chooses in a file: name it as backbone.weights, or leave out the key"
            )
        return None
    if "://" in str(weights):
        raise UserError(f"backbone.weights={weights} is a URL: download it first, then name the file")
    path = Path(str(weights)).expanduser()
    if path.exists() or path.suffix in WEIGHTS_SUFFIXES or "/" in str(weights):
        return path.absolute()
    if published:
        choices = f"{published}, null (random), or a file that exists or ends in {', '.join(WEIGHTS_SUFFIXES)}"
        raise UserError(f"backbone.weights={weights}: choose {choices}")
    return None


def load_weights_file(
    network: nn.Module,
    path: Path,
    classifier: Iterable[str] = (),
    key: str | None = None,
    adapt: Callable[[State], State] | None = None,
    made_by: Callable[..., Any] | None = None,
) -> None:
    """Fill `network` with the tensors in the file at `path`: a state dict, or a checkpoint that holds one or several.

    Where it stands in the file, and a prefix that all its names share, such as "module.backbone.", is found by which
    names fit; of several copies that fit and differ, `key` names one. All entries of the network must be there (but for
    BatchNorm's count of batches), in the right shape. Entries of modules that the network hasn't got at all are left
    out, and so are those of the modules named in `classifier`. What doesn't fit is tried as `adapt` returns it: with
    other names, or position embeddings of the network's size. A checkpoint of headstart's own leaves out what was
    frozen, which comes from the backbone that it names, if `made_by` makes such.

    Raises UserError: there is no such file, it can't be read, doesn't fit, holds several copies, NaN or infinity.
    """
    content = read_content(path)
    wanted = Wanted(network, tuple(f"{name}." for name in classifier), adapt)
    copies = find_copies(_weights_in(content, key), wanted, key)
    if made_by and not any(copy.fits for copy in copies) and "digest" in content.get("hyper_parameters", {}):
        _complete(content, path, made_by)
        copies = find_copies(_weights_in(content, key), wanted, key)
    copy = _the_one(copies, path, content, wanted, key)
    network.load_state_dict(copy.fitting, strict=False)
    refuse_nan(network, path)
    notes = {"left out": copy.left_out, "resampled": copy.resampled}
    notes["backbone.weights_key= chooses another"] = [other.name for other in copies if other is not copy]
    said = [f"; {what}: {shortened(names)}" for what, names in notes.items() if any(names)]
    log.info(f"weights: {len(copy.fitting)} entries from {path}{_place(copy)}{''.join(said)}")


def refuse_nan(network: nn.Module, source: object) -> None:
    """Raise UserError where weights of `source` are no numbers: the loss wouldn't be one either, after minutes."""
    state = network.state_dict().items()
    if bad := [
        name for name, value in state if value.is_floating_point() and not value.is_meta and not value.isfinite().all()
    ]:
        raise UserError(
            f"{source} holds NaN or infinity in {len(bad)} of the backbone's entries ({shortened(bad)}): "
            "take a checkpoint from before, or others"
        )


def _weights_in(content: dict[Any, Any], key: str | None) -> dict[str, State]:
    """All state dicts by where they stand; of Lightning's, the others are the states of callbacks and optimizers."""
    if LIGHTNING in content and not key:
        content = {"state_dict": content.get("state_dict")}
    return dict(state_dicts(content))


def _complete(checkpoint: dict[str, Any], path: Path, made_by: Callable[..., Any]) -> None:
    """Put what was frozen into a checkpoint of headstart's own; raises UserError if its backbone is another kind's."""
    from .resume.checkpoints import read_checkpoint, restore_backbone
    from .specs import to_spec

    spec = dict(read_checkpoint(path)["hyper_parameters"]["backbone"])
    own = path.resolve()
    if spec.pop("_target_") != to_spec(made_by)["_target_"]:
        raise UserError(
            f"{path} holds what was trained alone, and its backbone is another: choose the same backbone=..."
        )
    if own in _waiting:
        raise UserError(f"{path} holds what was trained alone, and for the rest it leads back to itself: take another")
    _waiting.add(own)
    try:
        base = made_by(**spec)
    finally:
        _waiting.remove(own)
    restore_backbone(checkpoint, base.network, base.digest)


def _the_one(copies: list[Copy], path: Path, content: dict[Any, Any], wanted: Wanted, key: str | None) -> Copy:
    """The only copy that fits, or the first of equal ones; raises UserError without one, and for a choice to make."""
    whole = [copy for copy in copies if copy.fits]
    if whole and all(copy.equals(whole[0]) for copy in whole[1:]):
        return whole[0]
    if whole:
        names = [copy.name for copy in whole]
        choose = f"add backbone.weights_key={names[0]}, or another of them"
        raise UserError(f"{path} holds {len(whole)} copies that fit and differ, {', '.join(names)}: {choose}")
    keys = f"the file's keys are {shortened(sorted(map(str, content)), 5) or 'none'}"
    if not copies or not copies[0].fitting:
        under = f" under backbone.weights_key={key}" if key else ""
        names = shortened(list(wanted.state))
        raise UserError(f"{path} holds none of the backbone's {len(wanted.state)} entries ({names}){under}: {keys}")
    raise UserError(
        f"{path}{_place(copies[0])} does not fit the backbone's {len(wanted.state)} entries: {copies[0].problem}; "
        f"{keys}: choose the backbone that it was made for"
    )


def _place(copy: Copy) -> str:
    return f", {copy.name}," if copy.name != "." else ""
