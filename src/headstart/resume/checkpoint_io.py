"""How checkpoints are written: as a whole or not at all."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from ..errors import UserError
from ..files import PART, short, write_atomically


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
