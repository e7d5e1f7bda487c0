"""From a file to an upright RGB picture, whatever it was saved as."""

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

JPEG_MAGIC = b"\xff\xd8\xff"
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I")


def read_picture(path: str | Path) -> Tensor:
    """Read a picture as uint8 [3, height, width], turned as its EXIF orientation says.

    JPEG goes through torchvision's decoder, which is twice as fast as Pillow's here; everything else goes
    through Pillow. Transparent pictures are laid on white, 16-bit ones are scaled to 8 bits, and of an
    animation the first frame is taken. The content decides, not the file's ending.

    Raises:
        ValueError: the file can't be read or decoded; the message names it.
    """
    try:
        content = Path(path).read_bytes()
        if content.startswith(JPEG_MAGIC):
            return _decode_jpeg(content)
        return _decode_with_pillow(content)
    except (OSError, RuntimeError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} can't be decoded ({_reason(error)})") from error


def _decode_jpeg(content: bytes) -> Tensor:
    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    picture = decode_jpeg(data, mode=ImageReadMode.RGB, apply_exif_orientation=True)
    assert isinstance(picture, Tensor)  # a list comes only for a list
    return picture


def _decode_with_pillow(content: bytes) -> Tensor:
    with warnings.catch_warnings():
        # Pillow warns at half the size at which it refuses; large pictures are welcome, bombs are refused.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(BytesIO(content)) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    pixels = np.asarray(_to_rgb(upright))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        # Pillow's own conversion clips at 255, which would turn most of the picture white.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    """Say it in a few words: torchvision puts its source file in front, Pillow the address of a buffer."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture in a format that Pillow knows"
    return str(error).rsplit(", ", maxsplit=1)[-1]
