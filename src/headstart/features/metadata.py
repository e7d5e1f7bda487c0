"""What a file of features says about itself: found out without torch, which takes seconds to import."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..errors import UserError

ENDING, PART, LOCK = ".safetensors", ".part", ".lock"


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata that was written with the features; raises UserError for a damaged file."""
    try:
        with safe_open(path, framework="np") as file:
            return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): delete it, and it is computed again") from error
