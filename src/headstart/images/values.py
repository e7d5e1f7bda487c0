"""From the values that an image was saved with to 8-bit RGB, in the range that its file declares."""

from typing import Any

import numpy as np
from PIL import Image

from ..errors import UserError

BITS, PHOTOMETRIC, MAX_VALUE, SAMPLE_FORMAT, SMIN_VALUE, SMAX_VALUE = 258, 262, 281, 339, 340, 341  # TIFF's tags
WHITE_IS_ZERO, SIGNED = 0, 2  # of PHOTOMETRIC and of SAMPLE_FORMAT
REMEDY = "save it in 8 or 16 bits, or with the TIFF tags SMinSampleValue and SMaxSampleValue"


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB; transparent ones are laid on white.

    Values of more than 8 bits are scaled, as Pillow's own conversion clips or wraps them: from SMinSampleValue to
    SMaxSampleValue where a TIFF has them; else all that its bits can hold, or floats from 0 to 1.

    Raises:
        UserError: nothing says in which range its values lie.
    """
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F" or image.mode.startswith("I") or _first(tags, SAMPLE_FORMAT) == SIGNED:
        image = _to_eight_bits(image, tags)
    if image.mode == "La":  # which Pillow turns into nothing but LA
        image = image.convert("LA")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image, tags: Any) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "I" and _first(tags, SAMPLE_FORMAT) == 1:
        values = values.view(np.uint32)  # Pillow has but signed ones
    elif image.mode == "L":
        values = values.view(np.int8)  # ... and unsigned ones
    low, high = _declared_range(image, tags, values)
    scaled = np.clip((values - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
    if _first(tags, PHOTOMETRIC) == WHITE_IS_ZERO:  # heeded by Pillow up to 8 bits
        scaled = 255 - scaled
    if "transparency" in image.info:
        scaled[values == image.info["transparency"]] = 255
    return Image.fromarray(scaled)


def _declared_range(image: Image.Image, tags: Any, values: np.ndarray) -> tuple[float, float]:
    """The values that stand for black and white."""
    if np.isnan(values).any():
        raise UserError("some of its values are no numbers (NaN)")
    low, high = _first(tags, SMIN_VALUE), _first(tags, SMAX_VALUE)
    if low is not None and high is not None and low < high:
        return float(low), float(high)
    if image.mode.startswith("I;16"):
        # A maximum such as 4095 is what 12 bits hold; TIFF has any other for statistics, not to be scaled by.
        highest, bits = int(_first(tags, MAX_VALUE) or 0), _first(tags, BITS) or 16
        return 0, highest if highest > 255 and not highest & (highest + 1) else 2**bits - 1
    if image.mode == "I" and image.format == "PPM":
        return 0, 65535  # to which Pillow scales them
    if image.mode == "F" and values.min() >= 0 and values.max() <= 1:
        return 0, 1
    if image.mode == "F":
        raise UserError(f"its values from {values.min():g} to {values.max():g} aren't within 0 and 1: {REMEDY}")
    raise UserError(f"nothing says in which range its signed or 32-bit integers lie: {REMEDY}")


def _first(tags: Any, tag: int) -> Any:
    value = tags.get(tag)
    return value[0] if isinstance(value, tuple) else value
