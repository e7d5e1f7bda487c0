"""The sections of a run's report that show images: those that it was trained on, and those that it got wrong."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from headstart.errors import printable

from ..plots.images import best_rows, least_certain_rows, most_confident_mistakes
from ..run_folder import RunFolder, Split, saliency_path
from .blocks import Block, Card, Folded, Section, Table, Text, card, cards

SHORT, ROWS = 20, 12  # classes whose counts are shown at once; rows of doctor.csv
DOCTOR = ("split", "kind", "path", "given", "suggested", "score", "action")


def images(run: RunFolder) -> Section | None:
    """What was trained on: how many images each class has, and some of them."""
    counts = _counts(run)
    if not counts:
        return None
    blocks: list[Block] = []
    samples = run.results.get("samples", [])
    blocks += cards(
        (card(path, printable(run.classes[label])) for path, label in samples), "some of the training images"
    )
    rows = [[printable(name), *values] for name, *values in zip(run.classes, *counts.values(), strict=True)]
    table = Table(["class", *counts], [*rows, ["all", *map(sum, counts.values())]])
    blocks.append(table if len(rows) <= SHORT else Folded(f"images of all {len(rows):,} classes", [table]))
    if skipped := run.results.get("skipped_images"):
        blocks.append(Text(f"{skipped:,} broken images were left out."))
    return Section("Images", blocks)


def mistakes(run: RunFolder) -> Section | None:
    """The images that say the most: confident mistakes with where the model looked, the least certain, the best."""
    if run.split is None:
        return None
    split = run.splits[run.split]
    wrong = int((~split.right).sum())
    few = f"{wrong:,} of {len(split.right):,} {run.split} images are wrong"
    blocks: list[Block] = [
        *cards(
            _of(run, most_confident_mistakes, with_map=True),
            f"{few}; these the most confidently. Beside them: which pixels mattered.",
        ),
        *cards(_of(run, least_certain_rows), "the least certain"),
        *cards(_of(run, best_rows), "right, and certain"),
    ]
    return Section("Mistakes", blocks or [Text(f"{few}. The images themselves are not where they were.")])


def doctor(run: RunFolder) -> Section | None:
    """What the data doctor has found: how many images of each kind, and the worst of them."""
    if not run.doctor:
        return None
    kinds, counts = np.unique([row.get("kind") or "" for row in run.doctor], return_counts=True)
    found = Table(["kind", "rows"], [[str(kind), int(count)] for kind, count in zip(kinds, counts, strict=True)])
    worst = [[printable(row.get(name) or "") for name in DOCTOR] for row in run.doctor[:ROWS]]
    shown = (
        card(row.get("path") or "", row.get("given") or "", row.get("suggested") or "") for row in run.doctor[:ROWS]
    )
    return Section("Doctor", [found, *cards(shown, "the worst first"), Table(DOCTOR, worst, "as in doctor.csv")])


def _counts(run: RunFolder) -> dict[str, list[int]]:
    """Images of each class by split; of an older run, those that were predicted."""
    counts = run.results.get("images", {})
    size = len(run.classes)
    return counts or {name: np.bincount(split.labels, minlength=size).tolist() for name, split in run.splits.items()}


def _of(run: RunFolder, rows_of: Callable[[Split], NDArray[np.int64]], with_map: bool = False) -> list[Card | None]:
    assert run.split is not None
    split = run.splits[run.split]
    made = []
    for row in rows_of(split).tolist():
        true, guess = (printable(run.classes[one]) for one in (split.labels[row], split.predicted[row]))
        beside = saliency_path(run.path, run.split, row) if with_map else None
        made.append(
            card(
                str(split.paths[row]),
                f"{guess} {split.probability[row]:.2f}",
                f"is {true}",
                beside,
                bool(split.right[row]),
            )
        )
    return made
