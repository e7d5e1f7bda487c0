"""What `conf/data/*.yaml` names: one function for each way of bringing pictures."""

from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

from headstart.data.image_data import ImageData
from headstart.data.shapes import draw_shapes
from headstart.data.sources import PictureSet, find_pictures


class Loading(TypedDict, total=False):
    """What all of them hand on to `ImageData`."""

    batch_size: int
    num_workers: int | str
    on_error: str
    max_pixels: int
    passed_dir: str | Path


def folder(
    root: str | Path,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    **loading: Unpack[Loading],
) -> ImageData:
    """Pictures in class folders below `root`, with or without `train`, `val` and `test` above them."""
    return ImageData(partial(find_pictures, root, val_fraction, test_fraction, seed), **loading)


def shapes(
    root: str | Path,
    per_class: tuple[int, int, int] = (70, 20, 30),
    seed: int = 0,
    **loading: Unpack[Loading],
) -> ImageData:
    """The embedded picture set, drawn below `root` when it isn't there yet."""

    def find() -> PictureSet:
        train, val, test = per_class
        return find_pictures(draw_shapes(Path(root), (train, val, test), seed))

    return ImageData(find, **loading)
