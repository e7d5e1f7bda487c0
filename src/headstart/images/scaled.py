"""Large JPEGs, decoded at a half, a quarter or an eighth of their size: in a third of the time, and less memory."""

import torch
from simplejpeg import decode_jpeg
from torch import Tensor

SCALES = (8, 4, 2)  # for which libjpeg leaves out what it doesn't need; others take longer than the whole
KEPT = 2  # pixels of each side for one that is needed: see docs/images.md for what others do


def scale_for(height: int, width: int, shortest: int | None) -> int:
    """By what a JPEG's sides are divided, if its shorter one is to have `shortest` pixels at least; None: by 1."""
    return next((scale for scale in SCALES if shortest and min(height, width) >= scale * shortest), 1)


def decode_scaled_jpeg(content: bytes, height: int, width: int, scale: int) -> Tensor | None:
    """A JPEG of `height` x `width` as uint8 [3, height / scale, width / scale], each rounded up.

    None where it can't be: for damage of any kind, of which a whole decode says more.
    """
    rows, columns = -(-height // scale), -(-width // scale)
    try:
        pixels = decode_jpeg(content, "RGB", min_height=rows, min_width=columns, strict=True)
    except ValueError:
        return None
    return torch.from_numpy(pixels).permute(2, 0, 1) if pixels.shape[:2] == (rows, columns) else None
