"""Folders that appear whole or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `final` once it is filled.

    An error leaves nothing behind, and a killed process a hidden scratch folder. Where `final` is there by then, as
    another process was first, that one stays, and ours goes.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{final.name}-", dir=final.parent) as scratch:
        part = Path(scratch) / final.name
        part.mkdir()
        yield part
        try:
            part.rename(final)
        except OSError:
            if not final.is_dir():
                raise
