"""Images in class folders: `root/[train|val|test/]class/**`."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from headstart.errors import UserError, printable
from headstart.files import ClassFolders
from headstart.images.endings import TAKEN
from headstart.images.folders import folders, foreign, refuse_dead_link, walk
from headstart.images.split_folders import refuse_splits_as_classes, split_dirs
from headstart.images.splits import Splitting
from headstart.images.table import ImageTable, Row, image_table, kinds, sorted_classes

from .datamodule import ImageData


def folder(root: ClassFolders, **options: Any) -> ImageData:
    """Images in class folders below `root`, with or without `train`, `val` and `test` above them."""
    return ImageData(partial(find_images, root), **options)


def find_images(root: str | Path, splitting: Splitting | None = None) -> ImageTable:
    """Find the images below `root` and split them where the folders don't.

    Split folders (`train`, `val`/`valid`/`validation`/`dev`, `test`/`testing`/`eval`, `Train_set`, `test 2`, ...) are
    used as they are. A split that has no folder is cut from the training images: seeded, and stratified by class.

    Raises:
        UserError: there is no such folder, one below it can't be read, no image, only one class, classes that have
            too few images, that only the validation or test images know, or that look like splits.
    """
    root, splitting = Path(root).expanduser(), splitting or Splitting()
    if not root.is_dir():
        raise UserError(f"there is no folder {root} (data.root)")
    dirs = split_dirs(root) or {"train": root}
    rows, ignored, inner = _rows(dirs)
    if not rows:
        there = f"; there are {kinds(ignored)}" if ignored else ""
        raise UserError(f"no images in {root}: one folder per class is expected, with files that Pillow reads{there}")
    if not splitting.group:
        refuse_splits_as_classes(dirs["train"], inner)
    # A folder without images is a split all the same: nothing is cut for it.
    splitting = replace(splitting, **{f"{split}_fraction": 0.0 for split in dirs if split != "train"})
    classes = sorted_classes(path.name for path in folders(dirs["train"]))
    for path in (root, *classes):
        if printable(path) != str(path):
            raise UserError(f"the name of {path} isn't UTF-8: rename it, all at once with convmv -f latin1 -t utf8")
    return image_table(rows, splitting, str(root), ignored, classes)


def _rows(dirs: Mapping[str, Path]) -> tuple[list[Row], Counter[str], dict[str, set[str]]]:
    """The images in the class folders of the splits, other files by kind, and the folders in each training class."""
    rows, ignored, inner = [], Counter(), defaultdict(set)
    for split, directory, files in walk(dirs):
        parts, before = Path(directory).relative_to(dirs[split]).parts, len(rows)
        for file in files:
            ending = os.path.splitext(file)[1].lower()  # noqa: PTH122 (ten times as fast)
            if foreign(file):
                ignored["hidden"] += 1
            elif ending not in TAKEN:
                refuse_dead_link(f"{directory}{os.sep}{file}")
                ignored[ending or "without an ending"] += 1
            elif parts:
                rows.append(Row(f"{directory}{os.sep}{file}", parts[0], split))
            else:
                ignored[f"{ending} in no class folder"] += 1
        if split == "train" and parts and len(rows) > before:
            inner[parts[0]] |= {name.casefold() for name in parts[1:2]}
    return rows, ignored, inner
