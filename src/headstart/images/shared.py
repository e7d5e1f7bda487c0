"""One table of images for all jobs of a sweep that run in this process: to find and check a million takes minutes."""

from contextlib import suppress
from typing import Any

from ..ranks import first_before_others

_known: dict[str, Any] = {}  # the last table, by its sweep and description


def set_up(data: Any, key: str | None) -> None:
    """Set up a data module, by the table of the job before if that had the same `key`: then it has nothing to do.

    Without a key nothing is shared: a notebook's next run sees the images anew.
    """
    if key in _known:
        with suppress(AttributeError):  # an owner's own may not be given one
            data.table = _known[key]
    with first_before_others("images"):
        data.setup()
    _known.clear()
    if key:
        _known[key] = data.table
