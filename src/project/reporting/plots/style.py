"""How all figures look: their colours, their files, and names as they are."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure  # without pyplot: no window system, no global state, nothing to close

LONGEST = 40  # characters of a class name
BLUE, ORANGE, GREEN, RED, GREY = "#3b7dd8", "#e07b39", "#3a9d6e", "#d1495b", "#8a8f98"  # on white and on black
FOREGROUND = "#010203"  # text and lines: nearly black in a PNG, the page's own colour in the report
SHADES = LinearSegmentedColormap.from_list("shades", [(*to_rgb(BLUE), share) for share in (0.0, 1.0)])
# Of matplotlib's SVG: what it says of itself, names that would come twice in a page, and fonts other than the page's.
UNNEEDED = re.compile(r'<metadata>.*?</metadata>| id="[a-z]+[\d_]*_\d+"| font-family: [^;"]*;', re.DOTALL)
SIZE = re.compile(r' width="([\d.]+)pt" height="[^"]*"')
LOOK: dict[Any, Any] = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False, "grid.alpha": 0.25, "font.size": 10,
    "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left", "legend.frameon": False,
    "svg.fonttype": "none", "svg.hashsalt": "headstart", "figure.constrained_layout.use": True,
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, GREY]),
    "image.interpolation": "nearest",
} | {
    f"{name}color": FOREGROUND
    for name in ("text.", "axes.edge", "axes.label", "axes.title", "xtick.", "ytick.", "grid.")
}  # fmt: skip


class PlainFigure(Figure):
    """A Figure in this look; whoever draws it, and whenever, takes no `$` in a name for mathematics."""

    def __init__(self, width: float = 8, height: float = 3.6, **options: Any) -> None:
        with names_as_they_are():
            super().__init__(figsize=(width, height), **options)

    def draw(self, renderer: Any) -> None:
        """Draw it."""
        with names_as_they_are():
            super().draw(renderer)


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as an image file."""
    with names_as_they_are():
        figure.savefig(path, dpi=100)
    return path


def to_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element on no background, in the colour of the text around it."""
    content = io.StringIO()
    with names_as_they_are():
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = UNNEEDED.sub("", content.getvalue().partition("<svg")[2])
    svg = SIZE.sub(lambda found: f' style="--width: {float(found[1]):.0f}pt"', svg, count=1)
    return f"<svg{svg}".replace(FOREGROUND, "currentColor")


def shown(name: str, longest: int = LONGEST) -> str:
    """A class name in one line of `longest` characters at most, without what can't be drawn."""
    name = " ".join(name.encode(errors="replace").decode().split())
    return name if len(name) <= longest else f"{name[: longest // 2 - 1]}…{name[-longest // 2 :]}"


@contextmanager
def names_as_they_are() -> Iterator[None]:
    """In this look, let matplotlib take no `$` in a name for mathematics, no `%` for TeX, and miss a glyph silently."""
    plain: dict[Any, Any] = {"text.parse_math": False, "text.usetex": False}
    with mpl.rc_context(LOOK | plain), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
