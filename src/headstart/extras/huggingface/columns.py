"""Which columns of a Hugging Face data set hold images and labels, by their types."""

from collections.abc import Mapping
from typing import Any

from ...errors import UserError, did_you_mean

LABELS = ("label", "labels", "class")
PLAIN = ("string", "large_string", "bool", "int", "uint")  # what a label's type begins with, if it is no ClassLabel


def choose_columns(
    name: str, features: Mapping[str, Any], image_column: str | None = None, label_column: str | None = None
) -> tuple[str, str]:
    """The columns of the images and of their labels, by name.

    Images are the only column of the type Image, labels that of the type ClassLabel, of several the one that is
    called label, labels or class; or, where there is none, the column of words or whole numbers of such a name.

    Raises UserError when that leaves none or several, and when a named column isn't there or is of another type.
    """
    from datasets import ClassLabel, Image

    classes = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    plain = [column for column, feature in features.items() if _is_plain(feature)]
    usual = [column for column in classes or plain if column.lower() in LABELS]
    images = [column for column, feature in features.items() if isinstance(feature, Image)]
    labels = usual or classes
    return (
        _choose(name, "image_column", image_column, images, images),
        _choose(name, "label_column", label_column, labels, [*classes, *plain]),
    )


def class_name(feature: Any, value: Any) -> str | None:
    """A label as the name of its class; None for a row without one, as test sets of competitions have."""
    from datasets import ClassLabel

    if value is None or value == "" or (isinstance(feature, ClassLabel) and value < 0):
        return None
    return str(feature.int2str(value) if isinstance(feature, ClassLabel) else value)


def _is_plain(feature: Any) -> bool:
    from datasets import Value

    return isinstance(feature, Value) and feature.dtype.startswith(PLAIN)


def _choose(name: str, key: str, wanted: str | None, guessed: list[str], possible: list[str]) -> str:
    """The wanted column if it can be it, else the only guess."""
    if wanted in possible:
        return str(wanted)
    there = f"there are {', '.join(possible)}" if possible else "there is none of a type that it could have"
    if wanted is not None:
        raise UserError(f"{name} has no column {wanted} (data.{key}); {did_you_mean(wanted, possible)}{there}")
    if len(guessed) != 1:
        raise UserError(f"which column of {name} is it? Set data.{key}=...; {there}")
    return guessed[0]
