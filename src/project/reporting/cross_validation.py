"""What the folds of a sweep come to: mean and standard deviation for each combination of its other overrides."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from rich.table import Table

FOLD = "data.fold"


def over_folds(jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for all jobs that differ in `data.fold` alone, if there are two or more; failed ones have no score.

    `std` is the sample standard deviation (divided by folds - 1); null for a single score, as `mean` is for none.
    """
    together: defaultdict[tuple[str, ...], list[float | None]] = defaultdict(list)
    for job in jobs:
        others = tuple(override for override in job["overrides"] if override.split("=")[0].lstrip("+") != FOLD)
        if len(others) < len(job["overrides"]):
            together[others].append(job["score"])
    return [_row(others, scores) for others, scores in together.items() if len(scores) > 1]


def _row(overrides: tuple[str, ...], scores: list[float | None]) -> dict[str, Any]:
    known = [score for score in scores if score is not None]
    return {
        "overrides": list(overrides),
        "scores": scores,
        "mean": mean(known) if known else None,
        "std": stdev(known) if len(known) > 1 else None,
    }


def fold_table(rows: Sequence[dict[str, Any]]) -> Table:
    """For the terminal; of the overrides, those that tell the rows apart."""
    shared = set.intersection(*(set(row["overrides"]) for row in rows))
    table = Table("overrides", "folds", "mean", "std")
    for row in rows:
        overrides = " ".join(override for override in row["overrides"] if override not in shared)
        known = sum(score is not None for score in row["scores"])
        values = ["" if row[name] is None else f"{row[name]:.4f}" for name in ("mean", "std")]
        table.add_row(
            overrides, f"{known} of {len(row['scores'])}" if known < len(row["scores"]) else str(known), *values
        )
    return table
