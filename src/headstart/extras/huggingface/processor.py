"""The image processors of Hugging Face, as our own preprocessing."""

from typing import Any

from ...backbone import Preprocessing
from ...errors import UserError

INTERPOLATIONS = {0: "nearest-exact", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
UNUSUAL = ("do_flip_channel_order", "rescale_offset", "do_color_quantize", "do_pad", "do_thumbnail", "do_crop_margin")
OWN_WAYS = ("Levit", "PoolFormer", "Perceiver")  # sizes mean something else there
SQUASHED_FROM = 384  # pixels: ConvNeXt crops smaller images only


def processor_preprocessing(processor: Any, source: str) -> Preprocessing:
    """What `processor` does to an image: resize, centre crop, scale to [0, 1] and normalise.

    Raises:
        UserError: it does anything else, leaves one of these out, or wants images that aren't square.
    """
    kind = type(processor).__name__
    unusual = [name for name in UNUSUAL if getattr(processor, name, None)]
    unusual += [f"{name}=false" for name in ("do_resize", "do_rescale") if not getattr(processor, name, None)]
    if unusual or kind.startswith(OWN_WAYS) or abs(processor.rescale_factor * 255 - 1) > 1e-3:
        raise UserError(f"{source} wants images in an unusual way ({', '.join([kind, *unusual])}); choose another")
    resize, crop = _sizes(processor, source)
    normalised = getattr(processor, "do_normalize", False)
    mean, std = (processor.image_mean, processor.image_std) if normalised else ((0.0,) * 3, (1.0,) * 3)
    if len(mean) != 3 or len(std) != 3 or processor.resample not in INTERPOLATIONS:
        raise UserError(f"{source} wants images that are not RGB, or an unknown interpolation; choose another")
    (r, g, b), (std_r, std_g, std_b) = mean, std
    return Preprocessing(resize, crop, INTERPOLATIONS[int(processor.resample)], (r, g, b), (std_r, std_g, std_b))


def _sizes(processor: Any, source: str) -> tuple[int | tuple[int, int], int]:
    """Length of the shorter side, or height and width, and the side of the crop."""
    size = _plain(processor.size)
    cropped = getattr(processor, "do_center_crop", False)
    if type(processor).__name__.startswith("ConvNext"):
        side = size.get("shortest_edge", 0)
        resize = (side, side) if side >= SQUASHED_FROM else int(side / processor.crop_pct)
        crops = {side}
    elif set(size) == {"shortest_edge"}:
        resize = size["shortest_edge"]
        crops = set(_plain(processor.crop_size).values()) if cropped else {resize}
    else:
        resize = (size.get("height", 0), size.get("width", 0))
        crops = set(_plain(processor.crop_size).values()) if cropped else set(resize)
    if len(crops) != 1 or min(crops) <= 0 or resize in (0, (0, 0)):
        raise UserError(f"{source} wants images of {size}; only square ones are supported: choose another")
    return resize, crops.pop()


def _plain(size: Any) -> dict[str, int]:
    """A size of transformers, of whichever version, with what it leaves out left out."""
    values = {"shortest_edge": size} if isinstance(size, int) else dict(size)
    return {name: int(value) for name, value in values.items() if value is not None}
