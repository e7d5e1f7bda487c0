"""What a page is made of: sections, with a few kinds of blocks. The template knows how they look, and escapes them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from markupsafe import Markup
from matplotlib.figure import Figure

from headstart.errors import printable
from headstart.images.thumbnails import as_link, thumbnail

from ..plots.style import to_svg


@dataclass(frozen=True)
class Text:
    """A paragraph; an error where it is `bad`."""

    kind: ClassVar[str] = "text"
    text: str
    bad: bool = False


@dataclass(frozen=True)
class Code:
    """What can be typed, or was said."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells below a header; those of numbers stand at the right."""

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG, which matplotlib has escaped."""

    kind: ClassVar[str] = "drawing"
    svg: Markup
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """An image, maybe another one beside it, and two lines below; `good` or not, or neither."""

    image: str
    title: str
    text: str = ""
    beside: str = ""
    good: bool | None = None


@dataclass(frozen=True)
class Cards:
    """A grid of images."""

    kind: ClassVar[str] = "cards"
    cards: Sequence[Card]
    caption: str = ""


@dataclass(frozen=True)
class Folded:
    """Blocks that are only there when they are asked for."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: Sequence["Block"]


Block = Text | Code | Table | Drawing | Cards | Folded


@dataclass(frozen=True)
class Section:
    """A title and what is below it."""

    title: str
    blocks: Sequence[Block]

    @property
    def name(self) -> str:
        """What links to it say."""
        return "-".join(self.title.lower().split())


@dataclass(frozen=True)
class Page:
    """A whole page: its title, how it stands with the run, a few numbers to be seen first, and sections."""

    title: str
    sections: Sequence[Section]
    status: str = ""
    subtitle: str = ""
    highlights: Sequence[tuple[str, str]] = field(default_factory=tuple)


def drawing(figure: Figure | None, caption: str = "") -> list[Block]:
    """A figure as a block; none without one."""
    return [Drawing(Markup(to_svg(figure)), caption)] if figure else []


def card(path: str, title: str, text: str = "", beside: Path | None = None, good: bool | None = None) -> Card | None:
    """A card with the image at `path`; None where there is none, or none any more."""
    image, other = thumbnail(path), thumbnail(beside) if beside else None
    return Card(as_link(image), title, text, as_link(other) if other else "", good) if image else None


def cards(made: Iterable[Card | None], caption: str = "") -> list[Block]:
    """Those that there are, as a block; none without any."""
    known = [one for one in made if one]
    return [Cards(known, caption)] if known else []


def number(value: Any) -> str:
    """A number as a table has it: `0.8978`, `3,781`; text as it is, and nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return printable(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
