"""The example's images: ten shapes on busy backgrounds, drawn so that a first run needs no download."""

from pathlib import Path
from typing import Any

from ..datamodule import ImageData
from ..folder import find_images
from .draw import draw_shapes


def shapes(root: str | Path, per_class: tuple[int, int, int] = (70, 20, 30), **options: Any) -> ImageData:
    """Shapes, drawn below `root` unless they are there: so many `per_class` for training, validation and test."""
    return ImageData(lambda split: find_images(draw_shapes(Path(root), per_class, split.seed), split), **options)
