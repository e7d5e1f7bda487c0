"""Small images for reports and grids, and as text that a page holds itself."""

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps

from .values import to_rgb

QUALITY = 82


def thumbnail(path: str | Path, side: int = 160, whole: bool = False) -> Image.Image | None:
    """The middle square of an image, `side` pixels wide, or the `whole` of it, as wide or as high.

    None where there is no image any more, or it can't be read.
    """
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded at about the size that is needed
            shrink = ImageOps.contain if whole else ImageOps.fit
            return shrink(to_rgb(ImageOps.exif_transpose(image)), (side, side))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def as_link(image: Image.Image) -> str:
    """The image as the `src` of an `<img>` that needs no file."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
