"""Images in class folders: `root/[train|val|test/]class/**`."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from headstart.errors import UserError
from headstart.images.decoding import ENDINGS
from headstart.images.splits import Splitting
from headstart.images.table import SPLIT_NAMES, ImageTable, Row, image_table, sorted_classes

from .datamodule import ImageData


def folder(root: str | Path, **options: Any) -> ImageData:
    """Images in class folders below `root`, with or without `train`, `val` and `test` above them."""
    return ImageData(partial(find_images, root), **options)


def find_images(root: str | Path, splitting: Splitting | None = None) -> ImageTable:
    """Find the images below `root` and split them where the folders don't.

    Split folders (`train`, `val`/`valid`/`validation`, `test`) are used as they are. A split that has no
    folder is cut from the training images: seeded, and stratified by class.

    Raises:
        UserError: there is no such folder, one below it can't be read, no image, only one class, a class that has
            too few images, or a class that only the validation or test images know.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise UserError(f"there is no folder {root} (data.root)")
    split_dirs = _split_dirs(root) or {"train": root}
    found = {split: _rows(path, split) for split, path in split_dirs.items()}
    rows = [row for some, _ in found.values() for row in some]
    if not rows:
        endings = " ".join(sorted(ENDINGS))
        raise UserError(f"no images in {root}: one folder per class is expected, with files ending in {endings}")
    # A folder without images is a split all the same: nothing is cut for it.
    splitting = replace(splitting or Splitting(), **{f"{split}_fraction": 0.0 for split in found if split != "train"})
    classes = sorted_classes(path.name for path in _folders(split_dirs["train"]))
    return image_table(rows, splitting, str(root), sum(ignored for _, ignored in found.values()), classes)


def _split_dirs(root: Path) -> dict[str, Path]:
    """The split folders of `root` by split; none where its folders are classes (one may be called `train`)."""
    folders = _folders(root)
    dirs: dict[str, Path] = {}
    for path in folders:
        split = SPLIT_NAMES.get(path.name.lower())
        if split in dirs:
            raise UserError(f"{dirs[split]} and {path} are both {split} images: keep one of them")
        if split:
            dirs[split] = path
    return dirs if "train" in dirs and (len(dirs) > 1 or len(folders) == 1) else {}


def _rows(root: Path, split: str) -> tuple[list[Row], int]:
    """The images in the class folders below `root`, in order, and the number of other files."""
    rows: list[Row] = []
    ignored = 0
    for directory, names, files in os.walk(root, onerror=_refuse, followlinks=True):
        names[:] = sorted(name for name in names if not _hidden(name))
        parts = Path(directory).relative_to(root).parts
        for file in sorted(files):
            if parts and not _hidden(file) and os.path.splitext(file)[1].lower() in ENDINGS:  # noqa: PTH122 (ten times as fast)
                rows.append(Row(f"{directory}{os.sep}{file}", parts[0], split))
            else:
                ignored += 1
    return rows, ignored


def _folders(parent: Path) -> list[Path]:
    try:
        return [path for path in sorted(parent.iterdir()) if path.is_dir() and not _hidden(path.name)]
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    """Raise a UserError for a folder that can't be read, which `os.walk` would leave out and say nothing."""
    raise UserError(f"{error.filename} can't be read ({error.strerror}): change its permissions, or move it") from error


def _hidden(name: str) -> bool:
    """Whether it is one of the files that systems leave behind: `.DS_Store`, `._photo.jpg`, `__MACOSX`."""
    return name.startswith(".") or name == "__MACOSX"
