"""From a file to an upright RGB image, whatever it was saved as."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from ..errors import UserError

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})  # of files taken for images
JPEG_MAGIC = b"\xff\xd8\xff"
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I")

Image.MAX_IMAGE_PIXELS = None  # data.max_pixels is the limit, which may be a higher one than Pillow's


class BrokenImageError(UserError):
    """A file that is no image, or too large a one; the message is one line that names it."""


def read_image(path: str | Path, max_pixels: int | None = None) -> Tensor:
    """Read an image as uint8 [3, height, width], upright by its EXIF orientation.

    JPEG goes through torchvision's decoder, which is twice as fast as Pillow's here; everything else goes
    through Pillow. Never through nvJPEG, GPU or not: torchvision has it repeat the nearest colour where libjpeg
    interpolates (https://github.com/sgl-project/sglang/pull/34163), and a model would see other pixels when it is
    served than when it was trained. Transparent images are laid on white, 16-bit ones are scaled to 8 bits, and of an
    animation the first frame is taken. The content decides, not the file's ending.

    Raises:
        BrokenImageError: the file can't be read or decoded, or its header speaks of more than `max_pixels` pixels.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BrokenImageError(f"{path} can't be decoded ({_reason(error)})") from error
    return decode_image(content, path, max_pixels)


def decode_image(content: bytes, name: str | Path, max_pixels: int | None = None) -> Tensor:
    """`read_image` for a file's content, wherever it came from; errors call it `name`."""
    try:
        if not content:
            raise UserError("the file is empty")
        pixels = 0 if max_pixels is None else _pixels_by_header(content)
        if max_pixels is None or pixels <= max_pixels:
            return _decode_jpeg(content) if content.startswith(JPEG_MAGIC) else _decode_with_pillow(content)
    except Exception as error:  # on a broken file, a decoder raises anything
        raise BrokenImageError(f"{name} can't be decoded ({_reason(error)})") from error
    raise BrokenImageError(f"{name} has {pixels:,} pixels, more than data.max_pixels={max_pixels:,}")


def _pixels_by_header(content: bytes) -> int:
    with Image.open(BytesIO(content)) as image:  # which decodes nothing yet
        return image.width * image.height


def _decode_jpeg(content: bytes) -> Tensor:
    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    image = decode_jpeg(data, mode=ImageReadMode.RGB, apply_exif_orientation=True)
    assert isinstance(image, Tensor)  # a list comes only for a list
    return image


def _decode_with_pillow(content: bytes) -> Tensor:
    with Image.open(BytesIO(content)) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
    pixels = np.asarray(_to_rgb(upright))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        # Pillow's own conversion clips at 255, which would turn most of the image white.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    """The error in a few words: torchvision puts its source file in front, the system the path, Pillow an address."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rsplit(", ", maxsplit=1)[-1] or type(error).__name__
