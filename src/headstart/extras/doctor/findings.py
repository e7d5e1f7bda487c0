"""What is found about single images, and the file of it that its reader edits and gives back as `data.fixes`."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from ...errors import UserError
from ...files import write_atomically

COLUMNS = ("path", "split", "kind", "given", "suggested", "score", "action", "note")
# In the order in which they are listed, and what the score of each is.
KINDS = {
    "label": "the probability of the given class, by images other than it: the lower, the worse",
    "leak": "cosine of the features: an image in several splits",
    "duplicate": "cosine of the features: an image that is there twice",
    "outlier": "distance from its neighbours, in distances of the median image",
    "damaged": "can't be decoded",
    "blank": "deviation of its values, of 255: nearly one colour",
    "tiny": "pixels of the shorter side",
    "shape": "the longer side, in shorter sides",
}


class Finding(NamedTuple):
    """A row of doctor.csv. `suggested` is a class, or ""; `note` says which images it is about beside this one."""

    path: str
    split: str
    kind: str
    given: str
    suggested: str = ""
    score: float | None = None
    note: str = ""

    def row(self) -> list[str]:
        """Its cells in the order of COLUMNS; the action is for the reader to fill in."""
        score = "" if self.score is None else f"{self.score:.4f}"
        return [self.path, self.split, self.kind, self.given, self.suggested, score, "", self.note]


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write doctor.csv, as a whole or not at all."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(finding.row() for finding in findings)
    write_atomically(path, text.getvalue())


def refuse_to_overwrite(path: Path) -> None:
    """Raise UserError where a reader has filled in actions: they would be lost."""
    if not path.exists():
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows: Sequence[dict[str, str]] = list(csv.DictReader(file))
    count = sum(bool((row.get("action") or "").strip()) for row in rows)
    if count or (rows and "action" not in rows[0]):
        raise UserError(f"{path} has {count:,} actions that would be lost: rename it first, as in data.fixes=fixes.csv")
