"""What `conf/data/*.yaml` names: one function for each way of bringing images."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

from headstart.extras.shards.data import ShardData, Shards
from headstart.images.splits import Splitting
from headstart.images.table import ImageTable, image_table

from .datamodule import ImageData
from .folder import find_images
from .shapes.draw import draw_shapes
from .table_file import SPLIT, read_labels


class Loading(TypedDict, total=False):
    """What `ImageData` is told about batches, classes and broken images."""

    batch_size: int
    num_workers: int | str
    on_error: str
    max_pixels: int
    checked_dir: str | Path
    balance: str


class Shared(Loading, total=False):
    """What all functions here take: `conf/data/_images.yaml`."""

    val_fraction: float
    test_fraction: float
    seed: int
    folds: int | None
    fold: int | None
    group: str | None


def folder(root: str | Path, **shared: Unpack[Shared]) -> ImageData:
    """Images in class folders below `root`, with or without `train`, `val` and `test` above them."""
    return image_data(lambda splitting: find_images(root, **asdict(splitting)), shared)


def shapes(root: str | Path, per_class: tuple[int, int, int] = (70, 20, 30), **shared: Unpack[Shared]) -> ImageData:
    """The embedded image set, drawn below `root` when it isn't there yet."""

    def find(splitting: Splitting) -> ImageTable:
        train, val, test = per_class
        return find_images(draw_shapes(Path(root), (train, val, test), splitting.seed), **asdict(splitting))

    return image_data(find, shared)


def csv(
    path: str | Path,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str | None = SPLIT,
    group_column: str | None = None,
    **shared: Unpack[Shared],
) -> ImageData:
    """Images that a CSV, TSV or Parquet file names, with their labels."""

    def find(splitting: Splitting) -> ImageTable:
        rows = read_labels(path, path_column, label_column, split_column, group_column)
        return image_table(rows, splitting, str(path))

    return image_data(find, shared)


def torchvision(
    name: str,
    root: str | Path,
    images_dir: str | Path,
    options: Mapping[str, Any] | None = None,
    download: bool = True,
    **shared: Unpack[Shared],
) -> ImageData:
    """A data set of `torchvision.datasets`, with its own splits."""

    def find(splitting: Splitting) -> ImageTable:
        from headstart.extras.torchvision_sets.rows import read_torchvision

        return image_table(read_torchvision(name, dict(options or {}), root, images_dir, download), splitting, name)

    return image_data(find, shared)


def huggingface(
    name: str,
    images_dir: str | Path,
    config: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    **shared: Unpack[Shared],
) -> ImageData:
    """A data set of Hugging Face's Hub, or a local folder that their library `datasets` reads or has saved."""

    def find(splitting: Splitting) -> ImageTable:
        from headstart.extras.huggingface.dataset import read_huggingface

        return image_table(read_huggingface(name, images_dir, config, image_column, label_column), splitting, name)

    return image_data(find, shared)


def webdataset(
    train: Shards,
    val: Shards | None = None,
    test: Shards | None = None,
    classes: str | list[str] | None = None,
    shuffle: int = 1000,
    **shared: Unpack[Shared],
) -> ImageData:
    """Images in tar files, which are streamed."""
    splitting, loading = _sorted(shared)
    return ShardData(train, val, test, classes, splitting, shuffle, **loading)


def image_data(find: Callable[[Splitting], ImageTable], shared: Mapping[str, Any]) -> ImageData:
    """Batches of the images that `find` finds and splits; `shared` are the arguments that all sources have."""
    splitting, loading = _sorted(shared)
    return ImageData(partial(find, splitting), **loading)


def _sorted(shared: Mapping[str, Any]) -> tuple[Splitting, dict[str, Any]]:
    """What says how to split, and what ImageData is told."""
    names = {field.name for field in fields(Splitting)}
    splitting = Splitting(**{name: value for name, value in shared.items() if name in names})
    return splitting, {name: value for name, value in shared.items() if name not in names}
