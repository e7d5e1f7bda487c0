"""doctor.html: the worst images of each kind, to be looked at; one file that needs no other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from ...errors import printable
from ...images.thumbnails import as_link, thumbnail
from .examine import Diagnosis
from .findings import KINDS
from .told import sentences

SHOWN = 24  # images of a kind
SIDE = 128  # pixels of a thumbnail
WIDTH, HEIGHT, LEFT, BOTTOM = 480, 220, 44, 28  # of the curve


def page(diagnosis: Diagnosis, title: str) -> str:
    """The page as HTML; whatever comes from the data is escaped."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    kinds = []
    for kind, meaning in KINDS.items():
        found = [finding for finding in diagnosis.findings if finding.kind == kind]
        shown = [(finding, _link(finding.path)) for finding in found[:SHOWN]]
        if found:
            kinds.append({"name": kind, "meaning": meaning, "count": len(found), "shown": shown})
    summary = diagnosis.summary
    text = environment.get_template("page.html.jinja").render(
        title=title, summary=summary, said=sentences(summary), kinds=kinds, curve=curve_points(summary)
    )
    return printable(text)


def _link(path: str) -> str | None:
    """A small image as a data URL; None where it can't be read."""
    image = thumbnail(path, SIDE, whole=True)
    return as_link(image) if image else None


def curve_points(summary: dict[str, Any]) -> dict[str, Any] | None:
    """The learning curve in the coordinates of a drawing of WIDTH x HEIGHT, with its labels; None without one."""
    curve: Sequence[dict[str, Any]] = summary["learning_curve"]
    if not curve:
        return None
    scores = [point["accuracy"] for point in curve] + list(summary["floor"].values())
    low, high = min(scores), max(scores)
    span = (high - low) or 1.0

    def height(score: float) -> float:
        return round(10 + (HEIGHT - BOTTOM - 20) * (1 - (score - low) / span), 1)

    most = curve[-1]["images"]
    points = [
        (round(LEFT + (WIDTH - LEFT - 10) * point["images"] / most, 1), height(point["accuracy"])) for point in curve
    ]
    floor = sorted(summary["floor"].items(), key=lambda item: -item[1])  # the upper label above its line
    lines = {name.replace("_", " "): (height(score), score) for name, score in floor}
    return {
        "width": WIDTH, "height": HEIGHT, "left": LEFT, "bottom": HEIGHT - BOTTOM, "points": points, "floor": lines,
        "first": curve[0], "last": curve[-1], "low": (height(low), low), "high": (height(high), high),
    }  # fmt: skip
