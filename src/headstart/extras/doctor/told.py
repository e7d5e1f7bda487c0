"""The diagnosis in a few lines: what was found, how much of it, and what to make of it."""

from typing import Any

from rich.table import Column, Table

from ...errors import printable
from ...files import short
from .examine import Diagnosis
from .findings import KINDS

FLAT = 0.01  # of accuracy for twice as many images: less isn't worth labelling them


def table_of(diagnosis: Diagnosis) -> Table:
    """A row for each kind of finding: how many there are, and the worst. To be printed without markup."""
    table = Table("kind", "images", Column("the worst", overflow="fold"), "given", "suggested", "score")
    for kind in KINDS:
        found = [finding for finding in diagnosis.findings if finding.kind == kind]
        worst = found[0].row() if found else [""] * 6
        table.add_row(kind, f"{len(found):,}", printable(short(worst[0])) if found else "", *worst[3:6])
    return table


def sentences(summary: dict[str, Any]) -> list[str]:
    """What else there is to say, a sentence each, the gravest first."""
    images, repeated = sum(summary["images"].values()), summary["repeated"]
    leaks = repeated["leaks"].items()
    said = [f"leakage: {count:,} images of {place}, and what is measured on them is too good" for place, count in leaks]
    if repeated["under_two_labels"]:
        said.append(f"repeated under more than one label: {repeated['under_two_labels']:,}")
    said.append(f"about {summary['probably_wrong']:,} of {images:,} labels are wrong, by confident learning")
    if summary["small_classes"]:
        small = ", ".join(f"{name} {count:,}" for name, count in summary["small_classes"].items())
        said.append(f"classes with few training images: {small}")
    shares = summary["class_shares"]
    if shares["differ"]:
        said.append(
            f"the classes' shares differ between splits (p {shares['p']:.1g}): {shares['class']} is "
            f"{shares['share']:.1%} of {shares['split']} and {shares['share_of_all']:.1%} of all"
        )
    light = summary["brightness"]
    if light["differ"]:
        means = ", ".join(f"{split} {mean:.0f}" for split, mean in light["mean"].items())
        said.append(f"the brightness differs between splits (of 255): {means}")
    return [*said, *summary["usual"], *_prospects(summary)]


def _prospects(summary: dict[str, Any]) -> list[str]:
    curve, split = summary["learning_curve"], summary["scored_on"]
    if not curve:
        return ["no learning curve: there are no images beside the training images to score on"]
    half, whole = curve[len(curve) // 2 - 1], curve[-1]
    gain, floor = whole["accuracy"] - half["accuracy"], summary["floor"]
    advice = "as many again would help" if gain >= FLAT else "more of the same will hardly help: try another backbone"
    return [
        f"{split} accuracy with {half['images']:,} training images {half['accuracy']:.4f}, with {whole['images']:,} "
        f"{whole['accuracy']:.4f} ({gain:+.4f}): {advice}",
        f"without training: {floor['nearest_neighbours']:.4f} by the nearest neighbours, "
        f"{floor['class_means']:.4f} by the nearest class mean",
    ]
