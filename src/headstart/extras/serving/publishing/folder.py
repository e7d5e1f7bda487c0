"""A published folder: filled as a whole, in the place of an earlier one or none."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ....errors import UserError
from ....files import atomic_folder
from ..plain import plain_network
from .card import PLOTS, Card, write_card
from .config import CONFIG, OURS, PREPROCESSOR, write_config, write_preprocessor
from .weights import LOADER, PROGRAM, WEIGHTS, write_loader, write_weights

README = "README.md"
FILES = {WEIGHTS, PROGRAM, CONFIG, PREPROCESSOR, LOADER, README, PLOTS, "__pycache__"}


def publish(
    place: Path, model: Any, card: Card, known: dict[str, Any], figures: Mapping[str, Callable[[Path], Any]]
) -> Path:
    """Write the classifier `model` into the folder `place`, and return it.

    `known` is what `about` knows of the model; each of `figures` draws itself into an image file. Raises UserError
    where there is something else in that folder, and for a network that can't be published.
    """
    with replaced(place) as folder:
        plain = plain_network(model)
        write_config(folder, plain, known, card.temperature)
        write_weights(folder, plain, model.preprocessing)
        write_preprocessor(folder, model.preprocessing)
        write_loader(folder, plain)
        (folder / PLOTS).mkdir()
        for name, draw in figures.items():
            draw(folder / PLOTS / f"{name}.png")
        write_card(folder / README, card, known, plain, list(figures))
    return place


def refuse_to_replace(place: Path) -> None:
    """Raise UserError for a folder that holds anything that wasn't published there."""
    if place.exists() and not place.is_dir():
        raise UserError(f"{place} is a file: name a folder that isn't there yet")
    others = sorted(path.name for path in place.iterdir()) if place.exists() else []
    if others and _is_ours(place):
        others = [name for name in others if name not in FILES]
    if others:
        raise UserError(f"{place} holds {others[0]}, which wasn't published from here: name another folder")


def _is_ours(place: Path) -> bool:
    try:
        content = json.loads((place / CONFIG).read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and OURS in content


@contextmanager
def replaced(place: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of an earlier one once it is filled, and not after an error."""
    refuse_to_replace(place)
    with atomic_folder(place) as part:
        yield part
        if place.exists():
            place.rename(part.with_name("before"))  # beside it: it goes as the scratch folder goes
