"""Cutting validation and test images, or folds, from the training images: seeded and stratified."""

import logging
import random
import re
from dataclasses import dataclass

from ..errors import UserError
from .groups import ByClass, Groups, spread

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splitting:
    """How the images of a table are split, where it doesn't say so itself.

    The fractions are shares of the training images. With `folds`, training and validation images are put together
    and dealt out anew to so many parts of equal size, of which the one with the number `fold` is for validation.
    `group` is a regular expression that is looked for in every path: images for which its first group (or all of it,
    if it has none) is the same stay together.

    Raises:
        UserError: a fraction, fold or expression that can't be used.
    """

    val_fraction: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0
    folds: int | None = None
    fold: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be used before any image is looked for."""
        val, test, folds = self.val_fraction, self.test_fraction, self.folds
        if not (0 <= val <= 1 and 0 <= test <= 1 and val + test <= 1):
            raise UserError(f"data.val_fraction={val} and data.test_fraction={test} must be shares of 1")
        if folds is None and self.fold is not None:
            raise UserError(f"data.fold={self.fold} is one of how many? add data.folds=5 data.fold=0,1,2,3,4 and -m")
        if folds is not None and (not isinstance(folds, int) or folds < 2):
            raise UserError(f"data.folds={folds} must be a whole number from 2 up")
        if folds is not None and not (isinstance(self.fold, int) and 0 <= self.fold < folds):
            every = ",".join(map(str, range(folds)))
            raise UserError(f"data.fold={self.fold} must be one of data.folds={folds}: -m data.fold={every} runs all")
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise UserError(f"data.group={self.group!r} is no regular expression ({error})") from error


def cut_splits(by_class: ByClass, fractions: dict[str, float], seed: int, groups: Groups) -> dict[str, ByClass]:
    """Cut splits from the training images, whose rest comes back as `train`; of each class, sorted by path.

    Raises UserError for a class that is too small: every split gets one image of it at least. With groups, they
    stay whole, the class has to be in `train`, and no split may be empty.
    """
    if groups and fractions:
        return _cut_groups(by_class, fractions, seed, groups)
    cut: dict[str, ByClass] = {split: {} for split in (*fractions, "train")}
    for name, paths in by_class.items():
        for split, taken in _cut_class(name, paths, fractions, seed).items():
            cut[split][name] = taken
    return cut


def _cut_class(name: str, paths: list[str], fractions: dict[str, float], seed: int) -> ByClass:
    counts = {split: max(1, round(share * len(paths))) for split, share in fractions.items() if share > 0}
    train = len(paths) - sum(counts.values())
    if train < 1 and sum(fractions.values()) < 1:
        raise UserError(
            f"class {name!r} has {len(paths)} images, and a split into train and {' and '.join(counts)} "
            f"needs {len(counts) + 1}: add images, or say which are for what"
        )
    # A generator of its own for each class: images added to one class leave the others' split as it was.
    order = random.Random(f"{seed} {name}").sample(paths, len(paths))
    cut, start = {}, 0
    for split, count in counts.items():
        cut[split] = sorted(order[start : start + count])
        start += count
    return cut | {"train": sorted(order[start:])}


def _cut_groups(by_class: ByClass, fractions: dict[str, float], seed: int, groups: Groups) -> dict[str, ByClass]:
    shares = {"train": 1 - sum(fractions.values())} | fractions
    parts = spread(by_class, groups, {split: share for split, share in shares.items() if share > 0}, seed)
    for split, part in parts.items():
        lost = [name for name in by_class if name not in part]
        if lost and (split == "train" or not part):
            raise UserError(f"class {lost[0]!r} has too few groups (data.group): none is left for {split}")
        if lost:
            log.warning(f"class {lost[0]!r} has too few groups (data.group): there is no {split} image of it")
    return {split: parts.get(split, {}) for split in shares}


def deal_folds(by_class: ByClass, folds: int, seed: int, groups: Groups) -> list[ByClass]:
    """Deal the images out to so many folds, as many of each class, give or take one; or whole groups, if any.

    Raises UserError for a class with fewer images than folds; with groups, for one that is in a single fold only,
    or a fold that stays empty.
    """
    if groups:
        return _deal_groups(by_class, folds, seed, groups)
    parts: list[ByClass] = [{} for _ in range(folds)]
    for name, paths in by_class.items():
        if len(paths) < folds:
            raise UserError(f"class {name!r} has {len(paths)} images for data.folds={folds}: take fewer folds")
        rng = random.Random(f"{seed} {name} folds")
        order = rng.sample(sorted(paths), len(paths))
        first = rng.randrange(folds)  # for every class, another fold may be the one with one more than others
        for fold, part in enumerate(parts):
            part[name] = sorted(order[(fold - first) % folds :: folds])
    return parts


def _deal_groups(by_class: ByClass, folds: int, seed: int, groups: Groups) -> list[ByClass]:
    parts = list(spread(by_class, groups, {str(fold): 1 / folds for fold in range(folds)}, seed).values())
    for name in by_class:
        if sum(name in part for part in parts) < 2 or not all(parts):
            raise UserError(f"class {name!r} has too few groups (data.group) for data.folds={folds}")
    return parts
