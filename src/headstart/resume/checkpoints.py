"""What a classifier's checkpoint holds: the head, how everything was made, and the digest of the backbone.

A frozen backbone's weights are where they came from, so a small checkpoint names them and is refused when they have
changed; those that were trained are in it. Everything is of plain types, for `torch.load(weights_only=True)`.
"""

import io
import logging
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import nn

from ..backbone import Backbone
from ..errors import UserError
from ..files import PART, short, write_atomically
from ..specs import Later, Spec, from_spec, to_spec

log = logging.getLogger(__name__)

PREFIX = "backbone."
PARTS = ("head", "optimizer", "scheduler")  # functions that a checkpoint names
FORMAT = 2  # raise it whenever earlier checkpoints can't be loaded any more


def describe_model(
    backbone: Backbone, classes: tuple[str, ...], parts: dict[str, Callable[..., Any] | None], values: dict[str, Any]
) -> Spec:
    """Write down what `rebuild` needs: plain values, with a spec in place of every function."""
    specs = {name: to_spec(part) if part else None for name, part in parts.items()}
    made_of = {"format": FORMAT, "backbone": dict(backbone.spec), "digest": backbone.digest, "classes": list(classes)}
    return made_of | specs | values


def refuse_what_cant_be_loaded(described: dict[str, Any], trusted: tuple[str, ...], name: str = "model") -> None:
    """Raise UserError where a checkpoint that holds this couldn't be read again, or asks for a part that isn't trusted.

    Better before the first epoch than after the last one.
    """
    for key, value in described.items():
        content = io.BytesIO()
        try:
            torch.save(value, content)
            content.seek(0)
            kept = torch.load(content, weights_only=True)
        except Exception as error:  # whatever can't be pickled, or is more than plain values
            found = re.search(r"GLOBAL (\S+)", str(error))
            reason = found[1] if found else str(error).split("\n")[0]
            raise UserError(
                f"{name}: its {key} holds {reason}, with which no checkpoint could be loaded again: give it numbers, "
                "text, lists and mappings alone"
            ) from error
        if key in PARTS and kept:
            try:
                from_spec(kept, trusted)
            except UserError as error:
                raise UserError(
                    f"{kept['_target_']} ({key}) isn't in TRUSTED (src/project/__init__.py), by which a checkpoint is "
                    "loaded again: add it there"
                ) from error


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a classifier's checkpoint onto the CPU, running no code it may carry; raises UserError for other files."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}") from error
    except Exception as error:  # damaged files fail in many ways: zip, pickle, end of file
        reason = str(error).split("\n")[0].split(". ")[0]
        raise UserError(f"the checkpoint {path} can't be read ({reason})") from error
    if not isinstance(checkpoint, dict) or "digest" not in checkpoint.get("hyper_parameters", {}):
        raise UserError(f"{path} is not a checkpoint of a headstart classifier")
    if checkpoint["hyper_parameters"].get("format") != FORMAT:
        raise UserError(f"{path} is of another version of headstart, whose checkpoints can't be loaded: train it again")
    return checkpoint


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint in `folder` to go on from: the newest that can be read; what is skipped is said.

    `best.ckpt`, as all that is kept for its score, is of the middle of an epoch's end, where nothing goes on exactly:
    it is taken only if the others are damaged, and not for the want of any, when a run has been going for seconds.
    """
    exact = {path for name in ("last", "next") for path in folder.glob(f"{name}*.ckpt")}
    found = sorted(folder.glob("*.ckpt"), key=lambda path: (path in exact, path.stat().st_mtime_ns))
    for path in reversed(found if exact else []):
        try:
            read_checkpoint(path)
        except UserError as error:
            log.warning(f"skipping a checkpoint: {error}")
        else:
            return path
    return None


def load_model(
    make_model: Callable[..., Any], path: str | Path, backbones: tuple[str, ...], trusted: tuple[str, ...]
) -> Any:
    """The model that a checkpoint describes, with its weights, in eval mode on the CPU.

    What its backbone may be made by is on the whitelist `backbones`, and its head on `trusted`: see `from_spec`.
    Optimizer and scheduler are looked for when somebody trains it. Raises UserError for a file that is no checkpoint,
    names anything else, or was trained on other backbone weights.
    """
    checkpoint = read_checkpoint(path)
    arguments = {k: value for k, value in checkpoint["hyper_parameters"].items() if k not in ("format", "digest")}
    arguments["backbone"] = from_spec(arguments["backbone"], backbones)()
    arguments["head"] = from_spec(arguments["head"], trusted)
    for name in ("optimizer", "scheduler"):
        arguments[name] = Later(arguments[name], trusted) if arguments[name] else None
    model = make_model(**arguments)
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    return model.eval()


def drop_backbone(checkpoint: dict[str, Any], changing: Collection[str] = ()) -> None:
    """Take the backbone's weights out of a checkpoint that is about to be written, except for the `changing` ones."""
    state = checkpoint["state_dict"].items()
    kept = {PREFIX + name for name in changing}
    checkpoint["state_dict"] = {name: value for name, value in state if not name.startswith(PREFIX) or name in kept}


def restore_backbone(checkpoint: dict[str, Any], backbone: nn.Module, digest: str) -> None:
    """Put the frozen weights back into a checkpoint, to load it strictly; raises UserError when it means others."""
    refuse_other_backbone(checkpoint, digest)
    own = {PREFIX + name: value for name, value in backbone.state_dict().items()}
    checkpoint["state_dict"] = own | checkpoint["state_dict"]


def refuse_other_backbone(checkpoint: dict[str, Any], digest: str) -> None:
    """Raise UserError when a checkpoint means other weights of the backbone than those with this `digest`."""
    expected = checkpoint["hyper_parameters"]["digest"]
    if expected != digest:
        name = checkpoint["hyper_parameters"]["backbone"]
        raise UserError(
            f"the checkpoint's head was trained on other backbone weights: {name} had the digest {expected[:12]}, "
            f"and has {digest[:12]} now"
        )


class AtomicCheckpointIO(TorchCheckpointIO):
    """What Lightning saves by.

    Its own stages files in $TMPDIR, maybe on another disk: a kill in the copy destroys the old one
    (https://github.com/Lightning-AI/pytorch-lightning/issues/21253).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write it to a file of its own, then take the place of `path`; raises UserError when the disk is full."""
        content, path = io.BytesIO(), Path(path)
        torch.save(checkpoint, content)  # into memory: on a full disk, torch would end the process from its C++
        try:
            for stray in path.parent.glob("*" + PART):  # of a process that was killed
                stray.unlink()
            write_atomically(path, content.getbuffer())
        except OSError as error:
            raise UserError(
                f"{short(path)} can't be written ({error.strerror}): the checkpoints from before are as they "
                f"were; make room, then go on with resume={short(path.parent.parent)}"
            ) from error

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove one checkpoint, and nothing else: Lightning takes the path from a file that may be a stranger's."""
        path = Path(path)
        if path.suffix == ".ckpt" and ".." not in path.parts and path.is_file():
            path.unlink()
