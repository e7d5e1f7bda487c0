"""Paths as people read and type them."""

from pathlib import Path


def short(path: str | Path) -> Path:
    """Relative to where the user is, when it lies below."""
    path, cwd = Path(path), Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path
