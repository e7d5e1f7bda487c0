"""What a trained model comes to on some images, class by class, for the terminal and for `evaluation.json`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from headstart.errors import UserError, printable
from headstart.files import numbered, write_atomically

from .bootstrap import PERCENT, Interval, Scores

FILE = "evaluation.json"
MEASURED = ("precision", "recall", "f1")


def table_of(scores: Scores, classes: Sequence[str]) -> Table:
    """A row for each class that has images, one for the means over them, and one for all images."""
    table = Table("class", "images", *MEASURED, title=f"with {PERCENT} % intervals (bootstrap)")
    for number, images in scores.support.items():
        values = [in_words(getattr(scores, name)[number]) for name in MEASURED]
        table.add_row(printable(classes[number]), f"{images:,}", *values, end_section=number == max(scores.support))
    table.add_row("mean", "", "", in_words(scores.mean_recall), in_words(scores.mean_f1))
    table.add_row("accuracy", f"{scores.images:,}", "", in_words(scores.accuracy), "")
    return table


def in_words(interval: Interval) -> str:
    """`0.898 (0.87-0.93)`."""
    return "{:.3f} ({:.2f}-{:.2f})".format(*interval)


def content_of(scores: Scores, classes: Sequence[str]) -> dict[str, Any]:
    """The same in plain values; a class without images is in `classes_without_images`."""
    by_class = {
        printable(classes[number]): {"images": images}
        | {name: getattr(scores, name)[number]._asdict() for name in MEASURED}
        for number, images in scores.support.items()
    }
    lacking = [printable(name) for number, name in enumerate(classes) if number not in scores.support]
    return {
        "images": scores.images,
        "accuracy": scores.accuracy._asdict(),
        "balanced_accuracy": scores.mean_recall._asdict(),
        "f1": scores.mean_f1._asdict(),
        "classes": by_class,
        "classes_without_images": lacking,
    }


def own_folder(parent: Path, name: str) -> Path:
    """A new folder in `parent`, with a number where another has this name; raises UserError if none can be."""
    for folder in numbered(parent / name):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(
                f"{folder} can't be made ({error.strerror}): copy the run to where you can write"
            ) from error
        return folder
    raise AssertionError


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Write evaluation.json; returns its path."""
    write_atomically(folder / FILE, json.dumps(content, indent=2) + "\n")
    return folder / FILE
