"""How many images were given which class."""

from collections import Counter
from collections.abc import Iterable

from rich.table import Table

from ...errors import printable
from .rows import BROKEN, UNSURE, Row


class Summary:
    """Counts images, and the mean of their probabilities, by class."""

    def __init__(self) -> None:
        self.images: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        """Count one."""
        self.images[row.verdict] += 1
        self._sums[row.verdict] += row.probabilities[0] if row.classes else 0  # pyright: ignore[reportArgumentType]

    def table(self, classes: Iterable[str]) -> Table:
        """A row for each class that some image was given, in the order of `classes`; then the unsure and the broken."""
        table = Table("class", "images", "mean probability")
        for name in (*classes, UNSURE, BROKEN):
            if count := self.images[name]:
                mean = "" if name == BROKEN else f"{self._sums[name] / count:.3f}"
                table.add_row(printable(name) if name != BROKEN else "(broken)", f"{count:,}", mean)
        return table
