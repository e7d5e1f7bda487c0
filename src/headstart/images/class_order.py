"""The order of classes, and so what number a class has as a label."""

from collections.abc import Iterable


def in_order(names: Iterable[str]) -> list[str]:
    """Class names as people sort them: numbers as such, everything else by its letters."""
    names = sorted(names)
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else names
