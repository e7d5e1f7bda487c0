"""Cutting validation and test pictures from the training pictures, seeded and stratified."""

import random
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Splitting:
    """How the pictures of a table are split, where it doesn't say so itself.

    The fractions are shares of the training pictures. With `folds`, training and validation pictures are put together
    and dealt out anew to so many parts of equal size, of which the one with the number `fold` is for validation.
    `group` is a regular expression that is looked for in every path: pictures for which its first group (or all of it,
    if it has none) is the same stay together.

    Raises:
        ValueError: a fraction, fold or expression that can't be used.
    """

    val_fraction: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0
    folds: int | None = None
    fold: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be used before any picture is looked for."""
        val, test, folds = self.val_fraction, self.test_fraction, self.folds
        if not (0 <= val <= 1 and 0 <= test <= 1 and val + test <= 1):
            raise ValueError(f"data.val_fraction={val} and data.test_fraction={test} must be shares of 1")
        if folds is None and self.fold is not None:
            raise ValueError(f"data.fold={self.fold} is one of how many? add data.folds=5 data.fold=0,1,2,3,4 and -m")
        if folds is not None and (not isinstance(folds, int) or folds < 2):
            raise ValueError(f"data.folds={folds} must be a whole number from 2 up")
        if folds is not None and not (isinstance(self.fold, int) and 0 <= self.fold < folds):
            every = ",".join(map(str, range(folds)))
            raise ValueError(f"data.fold={self.fold} must be one of data.folds={folds}: -m data.fold={every} runs all")
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise ValueError(f"data.group={self.group!r} is no regular expression ({error})") from error


def cut_splits(name: str, paths: list[str], fractions: dict[str, float], seed: int) -> dict[str, list[str]]:
    """Cut the missing splits from one class's pictures; every split gets one picture at least."""
    counts = {split: max(1, round(share * len(paths))) for split, share in fractions.items() if share > 0}
    train = len(paths) - sum(counts.values())
    if train < 1 and sum(fractions.values()) < 1:
        raise ValueError(
            f"class {name!r} has {len(paths)} pictures, and a split into train and {' and '.join(counts)} "
            f"needs {len(counts) + 1}: add pictures, or say which are for what"
        )
    # A generator of its own for each class: pictures added to one class leave the others' split as it was.
    order = random.Random(f"{seed} {name}").sample(paths, len(paths))
    cut, start = {}, 0
    for split, count in counts.items():
        cut[split] = sorted(order[start : start + count])
        start += count
    return cut | {"train": sorted(order[start:])}
