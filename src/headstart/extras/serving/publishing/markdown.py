"""Text and tables in Markdown, whatever stands in them."""

import re
from collections.abc import Iterable, Sequence

from ....errors import printable

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:@=^\"'])")
LONGEST = 80  # characters of a name in a table


def escaped(text: object, longest: int = LONGEST) -> str:
    """Text that is shown as it is, in one line of `longest` characters at most: neither Markdown nor HTML."""
    line = " ".join("".join(c if c.isprintable() else " " for c in printable(text)).split())
    line = line if len(line) <= longest else f"{line[: longest - 1]}…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", line) or "(empty)"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of cells that are Markdown already; all columns but the first are numbers, to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def code(language: str, text: str) -> str:
    """A block of code that isn't ended by what stands in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.strip()}\n{fence}"
