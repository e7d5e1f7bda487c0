"""The whole examination: what is found about single images, and the numbers about all."""

from collections import Counter
from typing import Any, NamedTuple

from .duplicates import duplicate_groups, leakage, repeated_images, under_two_labels
from .examined import Examined
from .findings import KINDS, Finding
from .heads import Solve
from .labels import confident_errors, doubtful_labels, judge
from .neighbours import nearest
from .oddities import odd_looks, outliers
from .prospects import NEIGHBOURS, floor, learning_curve, scored_split
from .shares import brightness, class_shares, small_classes


class Diagnosis(NamedTuple):
    """The findings, kind by kind, the worst first, and the summary that becomes doctor.json."""

    findings: list[Finding]
    summary: dict[str, Any]


def examine(images: Examined, solve: Solve) -> Diagnosis:
    """Look for all that may be wrong; `solve` is what heads are solved for by."""
    judged = judge(solve, images.features, images.labels, len(images.classes))
    cosines, neighbours = nearest(images.directions, images.directions, NEIGHBOURS, same=True)
    groups = duplicate_groups(images, cosines, neighbours)
    odd, usual = odd_looks(images)
    findings = [
        *doubtful_labels(images, judged),
        *repeated_images(images, groups, cosines),
        *outliers(images, cosines),
        *odd,
    ]
    counts = Counter(finding.kind for finding in findings)
    summary = {
        "images": dict(Counter(images.splits)),
        "classes": len(images.classes),
        "findings": {kind: counts[kind] for kind in KINDS},
        "probably_wrong": int(confident_errors(judged, images.labels, len(images.classes)).sum()),
        "repeated": {
            "images": len(groups),
            "under_two_labels": under_two_labels(images, groups),
            "leaks": leakage(images, groups),
        },
        "usual": usual,
        "small_classes": small_classes(images),
        "class_shares": class_shares(images),
        "brightness": brightness(images),
        "penalty": judged.penalties[-1],
        **_prospects(images, solve, judged.penalties),
    }
    return Diagnosis(findings, summary)


def _prospects(images: Examined, solve: Solve, penalties: tuple[float, ...]) -> dict[str, Any]:
    split = scored_split(images)
    if split is None:
        return {"scored_on": None, "learning_curve": [], "floor": {}}
    curve = learning_curve(images, solve, split, penalties)
    return {"scored_on": split, "learning_curve": curve, "floor": floor(images, split)}
