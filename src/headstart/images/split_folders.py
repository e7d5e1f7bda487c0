"""Which folders are the splits of an image set, by their names; and which only look like classes."""

import logging
import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from ..errors import UserError, listed
from .folders import folders as folders_in
from .table import SPLIT_NAMES

SPLIT_WORD = re.compile(rf"(?<![a-z])({'|'.join(SPLIT_NAMES)})[ _-]?(?:set|data|images)?(?![a-z])")

log = logging.getLogger(__name__)


def split_dirs(root: Path) -> dict[str, Path]:
    """The split folders of `root` by split; none where its folders are classes (one may be called `train`)."""
    folders = folders_in(root)
    plain, longer = defaultdict(list), defaultdict(list)  # `Test 2`; and what could be a class, such as `steam_train`
    for path in folders:
        name = path.name.lower()
        splits = {SPLIT_NAMES[word] for word in SPLIT_WORD.findall(name)}
        if len(splits) == 1:
            (plain if re.sub(r"[\W\d_]", "", name) in SPLIT_NAMES else longer)[splits.pop()].append(path)
    found = longer | plain
    alone = "train" in found and len(found) == 1 and len(found["train"]) < len(folders)
    if "train" not in found or alone or not ("train" in plain or any(map(folders_in, found["train"]))):
        _refuse_lone_splits(root, [path.name for split in ("val", "test") for path in plain[split]], folders)
        return {}
    for split, paths in found.items():
        if len(paths) > 1:
            raise UserError(f"{' and '.join(map(str, paths))} are both {split} images: keep one, or rename the other")
    dirs = {split: _innermost(path) for split, (path,) in found.items()}
    _look_at_others(dirs["train"], [path for path in folders if [path] not in found.values()])
    return dirs


def refuse_splits_as_classes(root: Path, inner: Mapping[str, set[str]]) -> None:
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


def _innermost(split: Path) -> Path:
    """`seg_train/seg_train`, as archives unpack into a folder of their own name."""
    inner = folders_in(split)
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
    classes = {path.name.casefold() for path in folders_in(train)}
    for path in others:
        if classes & {inner.name.casefold() for inner in folders_in(path)}:
            raise UserError(
                f"{path} holds folders of the same names as {train}, but isn't called like a split: call it train, "
                "val or test, or move it away"
            )
    if others:
        log.warning(f"{listed(others)}: left out, as the images are in the folders of the splits beside it")
