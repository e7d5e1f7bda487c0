"""Reads `metrics.csv`, for whoever needs no torch for that."""

import csv
from pathlib import Path
from typing import Any


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`, without empty fields; none without a file. A half-written last row is left out."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows: list[dict[str, Any]] = [row for row in csv.DictReader(file) if None not in row.values()]
    return [{name: int(text) if text.isdigit() else float(text) for name, text in row.items() if text} for row in rows]
