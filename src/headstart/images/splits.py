"""Cut validation and test images, or folds, from the training images: seeded, stratified, groups kept whole."""

import logging
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ..errors import UserError, listed

ByClass = dict[str, list[str]]  # paths by class name
Groups = Mapping[str, str]  # groups by path, of those images that have one
MOST = 50  # classes, or groups, that a message names

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splitting:
    """How images are split whose source doesn't say.

    The fractions are those of the training images. With `folds`, training and validation images are put together
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
            raise UserError(
                f"data.val_fraction={val} and data.test_fraction={test}: give fractions, together 1 at most"
            )
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
    wanted = {split: fraction for split, fraction in fractions.items() if fraction > 0}
    cut: dict[str, ByClass] = {split: {} for split in (*fractions, "train")}
    for name, paths in by_class.items():
        for split, taken in _cut_class(name, paths, wanted, seed).items():
            cut[split][name] = taken
    small = _sizes({name: by_class[name] for name in by_class if not cut["train"].get(name)})
    if small and sum(wanted.values()) < 1:
        raise UserError(
            f"{small}, and a split into {' and '.join(('train', *wanted))} needs {len(wanted) + 1}: "
            "add images, or say which are for what"
        )
    return cut


def _sizes(by_class: ByClass) -> str:
    return listed(
        [f"class {name!r} has {len(paths)} image{'s' * (len(paths) != 1)}" for name, paths in by_class.items()], MOST
    )


def _cut_class(name: str, paths: list[str], fractions: dict[str, float], seed: int) -> ByClass:
    counts = {split: max(1, round(fraction * len(paths))) for split, fraction in fractions.items()}
    # A generator of its own for each class: images added to one class leave the others' split as it was.
    order = iter(random.Random(f"{seed} {name}").sample(paths, len(paths)))
    return {split: sorted(islice(order, count)) for split, count in counts.items()} | {"train": sorted(order)}


def _cut_groups(by_class: ByClass, fractions: dict[str, float], seed: int, groups: Groups) -> dict[str, ByClass]:
    fractions = {"train": 1 - sum(fractions.values())} | fractions
    wanted = {split: fraction for split, fraction in fractions.items() if fraction > 0}
    parts = deal_groups(by_class, groups, wanted, seed)
    for split, part in parts.items():
        lost = listed([repr(name) for name in by_class if name not in part], MOST)
        if lost and (split == "train" or not part):
            raise UserError(f"class {lost} has too few groups (data.group): none is left for {split}")
        if lost:
            log.warning(f"class {lost} has too few groups (data.group): there is no {split} image of it")
    return {split: parts.get(split, {}) for split in fractions}


def deal_folds(by_class: ByClass, folds: int, seed: int, groups: Groups) -> list[ByClass]:
    """Deal the images out to so many folds, as many of each class, give or take one; or whole groups, if any.

    Raises UserError for a class with fewer images than folds; with groups, for one that is in a single fold only,
    or a fold that stays empty.
    """
    if groups:
        parts = list(deal_groups(by_class, groups, {str(fold): 1 / folds for fold in range(folds)}, seed).values())
        few = [repr(name) for name in by_class if sum(name in part for part in parts) < 2 or not all(parts)]
        if few:
            raise UserError(f"class {listed(few, MOST)} has too few groups (data.group) for data.folds={folds}")
        return parts
    if small := _sizes({name: paths for name, paths in by_class.items() if len(paths) < folds}):
        raise UserError(f"{small} for data.folds={folds}: take fewer folds")
    parts: list[ByClass] = [{} for _ in range(folds)]
    for name, paths in by_class.items():
        rng = random.Random(f"{seed} {name} folds")
        order = rng.sample(sorted(paths), len(paths))
        first = rng.randrange(folds)  # for every class, another fold may be the one with one more than others
        for fold, part in enumerate(parts):
            part[name] = sorted(order[(fold - first) % folds :: folds])
    return parts


def match_groups(paths: Sequence[str], pattern: str) -> dict[str, str]:
    """What the regular expression finds in each path: its first group, or all of it; raises UserError for nothing."""
    expression = re.compile(pattern)
    found = {path: match[min(expression.groups, 1)] for path in paths if (match := expression.search(path))}
    unmatched = [path for path in paths if path not in found]
    if unmatched and not found:
        raise UserError(f"data.group={pattern!r} is found in no path, such as {paths[0]}")
    if unmatched:
        log.warning(
            f"data.group={pattern!r} is not found in {len(unmatched):,} paths, {listed(unmatched)}: each is a group "
            "of its own"
        )
    return {path: group for path, group in found.items() if group is not None}


def deal_groups(by_class: ByClass, groups: Groups, fractions: Mapping[str, float], seed: int) -> dict[str, ByClass]:
    """Deal whole groups out to parts, so that each gets about its fraction of every class; its paths are sorted.

    The largest groups come first, those of equal size in seeded order. Each goes to the part that lacks most of its
    classes, but a class's last groups go to parts that have nothing of it yet. scikit-learn's StratifiedGroupKFold
    promises as much for folds of equal size (here, they need not be), but importing it takes longer than a short run.
    """
    members: defaultdict[tuple[str, str], defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, paths in by_class.items():
        for path in paths:
            members[(groups[path], "") if path in groups else ("", path)][name].append(path)
    undealt = Counter(name for images in members.values() for name in images)  # groups of each class
    missing = {part: dict.fromkeys(by_class, fraction) for part, fraction in fractions.items()}
    parts: dict[str, ByClass] = {part: defaultdict(list) for part in fractions}
    order = random.Random(f"{seed} groups").sample(sorted(members), len(members))
    for group in sorted(order, key=lambda group: -sum(map(len, members[group].values()))):
        part = _choose_part(members[group], parts, missing, undealt)
        for name, paths in members[group].items():
            undealt[name] -= 1
            missing[part][name] -= len(paths) / len(by_class[name])
            parts[part][name] += paths
    return {part: {name: sorted(paths) for name, paths in images.items()} for part, images in parts.items()}


def _choose_part(
    group: ByClass, parts: dict[str, ByClass], missing: dict[str, dict[str, float]], undealt: Counter[str]
) -> str:
    without = {name: [part for part, images in parts.items() if name not in images] for name in group}
    urgent = {part for name, lacking in without.items() if undealt[name] <= len(lacking) for part in lacking}
    candidates = [part for part in parts if part in urgent] or list(parts)
    return max(candidates, key=lambda part: sum(len(paths) * missing[part][name] for name, paths in group.items()))
