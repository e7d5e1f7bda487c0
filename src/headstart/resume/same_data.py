"""Whether the images are those that a checkpoint was trained on.

The classes, their order, and what each split holds belong to a run; where its images lie doesn't. An image is known by
its label, its path below its split's own folder, and its size in bytes.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ..errors import UserError, listed
from ..files import common_folder

if TYPE_CHECKING:
    from ..images.table import ImageTable

SPLITS = ("train", "val", "test")
KEY = "data"  # of a checkpoint
_described: list[Any] = []  # a table, and what describes it
MOVED = "where the images lie may change (data.root=... and the like); their classes, splits and number may not"


class NoteData(Callback):
    """Writes into every checkpoint on which data it was trained."""

    def __init__(self, table: ImageTable) -> None:
        self.data = describe_data(table)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put it beside the weights."""
        checkpoint[KEY] = self.data


def describe_data(table: ImageTable) -> dict[str, Any]:
    """The classes in label order, and by split how many files there are, and a digest of what they are.

    Of the table that was asked for last, it is known already: the jobs of a sweep share theirs.
    """
    if not _described or _described[0] is not table:
        _described[:] = (table, _describe(table))
    return _described[1]


def _describe(table: ImageTable) -> dict[str, Any]:
    members = {split: table.members(split) for split in SPLITS}
    splits = {split: {"files": len(found), "digest": _digest(found)} for split, found in members.items()}
    return {"classes": list(table.classes), **splits}


def refuse_other_data(checkpoint: dict[str, Any], table: ImageTable) -> None:
    """Raise UserError where a run can't go on, as its images are others than those it was trained on."""
    if changes := data_changes(checkpoint, table):
        raise UserError(
            f"the data is not what the run began with: {'; '.join(changes)}; {MOVED}: put them back as they "
            "were, or start a new run"
        )


def data_changes(checkpoint: dict[str, Any], table: ImageTable, splits: tuple[str, ...] = SPLITS) -> list[str]:
    """What a checkpoint was trained on and `table` differ in, in words; nothing for a checkpoint that doesn't say."""
    if change := class_change(checkpoint, table):
        return [change]
    then, now = checkpoint.get(KEY), describe_data(table)
    if not then:
        return []
    changed = [split for split in splits if then[split] != now[split]]
    return [_in_words(split, then[split]["files"], now[split]["files"]) for split in changed]


def class_change(checkpoint: dict[str, Any], table: ImageTable) -> str | None:
    """How the classes that a checkpoint knows differ from those of `table`; None where they don't."""
    known, found = list(checkpoint["hyper_parameters"]["classes"]), list(table.classes)
    gone, new = ([name for name in a if name not in b] for a, b in ((known, found), (found, known)))
    if known == found:
        return None
    if not gone and not new:
        return f"its classes were in another order: {listed(known)}"
    return " and ".join(f"the class {listed(names)} is {how}" for names, how in ((gone, "gone"), (new, "new")) if names)


def _in_words(split: str, then: int, now: int) -> str:
    if then != now:
        return f"{split} had {then:,} files and has {now:,}"
    return f"of the {now:,} files of {split} some are others, or have another label or size"


def _digest(members: list[tuple[str, str]]) -> str:
    """sha256 of (path, label), in any order; paths count from the folder that all have in common."""
    paths = [os.path.abspath(path) for path, _ in members]  # noqa: PTH100 (pathlib takes five times as long)
    start = len(common_folder(paths)) if paths else 0
    names = [path[start:].replace(os.sep, "/").lstrip("/") for path in paths]
    lines = [f"{label} {_size(path)} {name}" for path, name, (_, label) in zip(paths, names, members, strict=True)]
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return None  # of a shard somewhere else
