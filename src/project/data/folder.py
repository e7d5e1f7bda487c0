"""Images in class folders: `root/[train|val|test/]class/**`."""

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NoReturn

from headstart.errors import UserError, listed, printable
from headstart.images.decoding import ENDINGS, UNREADABLE
from headstart.images.splits import Splitting
from headstart.images.table import SPLIT_NAMES, ImageTable, Row, image_table, kinds, sorted_classes

from .datamodule import ImageData

TAKEN = ENDINGS | UNREADABLE  # the latter to be named as broken: they belong to the set
# What systems leave behind, beside everything hidden: macOS, the stations of Synology and QNAP, Windows, Linux.
FOREIGN = {"__macosx", "@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "@recently-snapshot", "$recycle.bin"}
FOREIGN |= {"system volume information", "lost+found"}
SPLIT_WORD = re.compile(rf"(?<![a-z])({'|'.join(SPLIT_NAMES)})[ _-]?(?:set|data|images)?(?![a-z])")

log = logging.getLogger(__name__)


def folder(root: str | Path, **options: Any) -> ImageData:
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
    split_dirs = _split_dirs(root) or {"train": root}
    rows, ignored, inner = _rows(split_dirs)
    if not rows:
        there = f"; there are {kinds(ignored)}" if ignored else ""
        raise UserError(f"no images in {root}: one folder per class is expected, with files that Pillow reads{there}")
    if not splitting.group:
        _refuse_splits_as_classes(split_dirs["train"], inner)
    # A folder without images is a split all the same: nothing is cut for it.
    splitting = replace(splitting, **{f"{split}_fraction": 0.0 for split in split_dirs if split != "train"})
    classes = sorted_classes(path.name for path in _folders(split_dirs["train"]))
    for path in (root, *classes):
        if printable(path) != str(path):
            raise UserError(f"the name of {path} isn't UTF-8: rename it, all at once with convmv -f latin1 -t utf8")
    return image_table(rows, splitting, str(root), ignored, classes)


def _split_dirs(root: Path) -> dict[str, Path]:
    """The split folders of `root` by split; none where its folders are classes (one may be called `train`)."""
    folders = _folders(root)
    plain, longer = defaultdict(list), defaultdict(list)  # `Test 2`; and what could be a class, such as `steam_train`
    for path in folders:
        name = path.name.lower()
        splits = {SPLIT_NAMES[word] for word in SPLIT_WORD.findall(name)}
        if len(splits) == 1:
            (plain if re.sub(r"[\W\d_]", "", name) in SPLIT_NAMES else longer)[splits.pop()].append(path)
    found = longer | plain
    alone = "train" in found and len(found) == 1 and len(found["train"]) < len(folders)
    if "train" not in found or alone or not ("train" in plain or any(map(_folders, found["train"]))):
        _refuse_lone_splits(root, [path.name for split in ("val", "test") for path in plain[split]], folders)
        return {}
    for split, paths in found.items():
        if len(paths) > 1:
            raise UserError(f"{' and '.join(map(str, paths))} are both {split} images: keep one, or rename the other")
    dirs = {split: _innermost(path) for split, (path,) in found.items()}
    _look_at_others(dirs["train"], [path for path in folders if [path] not in found.values()])
    return dirs


def _innermost(split: Path) -> Path:
    """`seg_train/seg_train`, as archives unpack into a folder of their own name."""
    inner = _folders(split)
    return _innermost(inner[0]) if [path.name for path in inner] == [split.name] else split


def _refuse_lone_splits(root: Path, splits: list[str], folders: list[Path]) -> None:
    classes = {path.name.lower() for path in folders}
    lone = [name for name in splits if f"in{name.lower()}" not in classes]  # valid and invalid are classes
    if lone:
        raise UserError(
            f"{root} has a folder {listed(lone)}, and none called train beside it: put the classes' folders into one, "
            f"or rename {listed(lone)} if it is a class"
        )


def _look_at_others(train: Path, others: list[Path]) -> None:
    """Raise UserError for a folder beside the splits that could be one; say that any other is left out."""
    classes = {path.name.casefold() for path in _folders(train)}
    for path in others:
        if classes & {inner.name.casefold() for inner in _folders(path)}:
            raise UserError(
                f"{path} holds folders of the same names as {train}, but isn't called like a split: call it train, "
                "val or test, or move it away"
            )
    if others:
        log.warning(f"{listed(others)}: left out, as the images are in the folders of the splits beside it")


def _refuse_splits_as_classes(root: Path, inner: Mapping[str, set[str]]) -> None:
    """Raise UserError where folders that should be classes hold the same folders, as splits do."""
    holders = {root: {name.casefold() for name in inner}} if len(inner) > 1 else {}
    holders |= {root / name: folders for name, folders in inner.items() if len(folders) > 1}
    for (one, its), (other, others) in combinations(holders.items(), 2):
        if len(shared := sorted(its & others)) > 1:
            raise UserError(
                f"{one} and {other} hold folders of the same names ({listed(shared)}), as splits do, or images and "
                "their masks: name split folders train, val and test, and leave one kind of images; if all of them "
                "are of the classes, data.group=PATTERN says which belong together"
            )


def _rows(split_dirs: Mapping[str, Path]) -> tuple[list[Row], Counter[str], dict[str, set[str]]]:
    """The images in the class folders of the splits, other files by kind, and the folders in each training class."""
    rows, ignored, inner = [], Counter(), defaultdict(set)
    for split, directory, files in _walk(split_dirs):
        parts, before = Path(directory).relative_to(split_dirs[split]).parts, len(rows)
        for file in files:
            ending = os.path.splitext(file)[1].lower()  # noqa: PTH122 (ten times as fast)
            if _foreign(file):
                ignored["hidden"] += 1
            elif ending not in TAKEN:
                _refuse_dead_link(f"{directory}{os.sep}{file}")
                ignored[ending or "without an ending"] += 1
            elif parts:
                rows.append(Row(f"{directory}{os.sep}{file}", parts[0], split))
            else:
                ignored[f"{ending} in no class folder"] += 1
        if split == "train" and parts and len(rows) > before:
            inner[parts[0]] |= {name.casefold() for name in parts[1:2]}
    return rows, ignored, inner


def _walk(split_dirs: Mapping[str, Path]) -> Iterator[tuple[str, str, list[str]]]:
    """The split, the path and the files of every folder, each once: links come last, as they may lead back."""
    waiting = [(str(path), split) for split, path in split_dirs.items()]
    waiting.sort(key=lambda top: Path(top[0]).is_symlink())
    seen: set[str] = set()  # with everything above, which no link may bring in
    again: list[str] = []
    for top, split in waiting:  # which grows by the links
        real = os.path.realpath(top)
        seen.update(map(str, Path(real).parents))
        for directory, names, files in os.walk(top, onerror=_refuse):
            place = real + directory[len(top) :]
            if place in seen:
                again.append(directory)
                names.clear()
                continue
            seen.add(place)
            names[:] = sorted(name for name in names if not _foreign(name))
            links = [name for name in names if Path(directory, name).is_symlink()]
            waiting += [(f"{directory}{os.sep}{name}", split) for name in links]
            names[:] = [name for name in names if name not in links]
            yield split, directory, files
    if again:
        log.warning(f"{listed(again)}: left out, a link to a folder that is there already, or that holds these images")


def _folders(parent: Path) -> list[Path]:
    """The folders in `parent`, but for links to itself or above."""
    real = parent.resolve()
    try:
        found = [path for path in sorted(parent.iterdir()) if path.is_dir() and not _foreign(path.name)]
        return [path for path in found if not (path.is_symlink() and real.is_relative_to(path.resolve()))]
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    """Raise a UserError for a folder that can't be read, which `os.walk` would leave out and say nothing."""
    raise UserError(f"{error.filename} can't be read ({error.strerror}): change its permissions, or move it") from error


def _refuse_dead_link(path: str) -> None:
    link = Path(path)
    if link.is_symlink() and not link.exists():
        raise UserError(f"{path} is a link to {link.readlink()}, which isn't there: bring it back, or remove the link")


def _foreign(name: str) -> bool:
    """Whether it is one of the files or folders that systems leave behind: `.DS_Store`, `._photo.jpg`, `@eaDir`."""
    return name.startswith(".") or name.lower() in FOREIGN
