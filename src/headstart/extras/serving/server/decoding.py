"""From an upload to the pixels that a model takes; what is no image is refused before it is decoded."""

import warnings
from io import BytesIO

from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ....images.decoding import BrokenImageError, decode_image
from .limits import RefusedError
from .uploads import Upload

Image.init()
# Pillow knows more, such as EPS, for which it starts another program; and may have been built without some of these.
FORMATS = tuple(
    name for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP") if name in Image.OPEN
)


def decode(upload: Upload, max_pixels: int, shortest: int | None = None) -> Tensor:
    """An upload as uint8 [3, height, width], as `read_image` has it.

    Raises RefusedError, by the header alone where it says enough.
    """
    if not upload.content:
        raise RefusedError(400, f"{upload.name} is empty")
    pixels = _pixels(upload)
    if pixels > max_pixels:
        raise RefusedError(413, f"{upload.name} has {pixels:,} pixels, and {max_pixels:,} are the most that is taken")
    try:
        return decode_image(upload.content, upload.name, shortest=shortest)
    except BrokenImageError as error:
        raise RefusedError(400, str(error)) from error


def _pixels(upload: Upload) -> int:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(upload.content), formats=FORMATS) as image:
            return image.width * image.height
    except UnidentifiedImageError:
        raise RefusedError(400, f"{upload.name} is no image in a format that is taken ({', '.join(FORMATS)})") from None
    except Exception as error:  # on a broken file, Pillow raises anything
        raise RefusedError(400, f"{upload.name} can't be decoded ({error})") from error
