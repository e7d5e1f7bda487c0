"""From a file to an upright RGB image, whatever it was saved as."""

import re
import warnings
from io import BytesIO
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from ..errors import UserError
from .decoder_output import held_stderr
from .endings import RAW, UNREADABLE
from .scaled import decode_scaled_jpeg, scale_for
from .values import to_rgb

JPEG_MAGIC = b"\xff\xd8\xff"
END_OF_JPEG = b"\xff\xd9"
PROGRESSIVE, SCAN, MARKER = 0xC2, 0xDA, re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the last one: after a scan's data
FLIPS = {2: (-1,), 3: (-1, -2), 4: (-2,), 5: (), 6: (-1,), 7: (-1, -2), 8: (-2,)}  # from 5 on, after a transposition

_loading = Lock()  # the same PIL image may be asked for by several threads, and reads its file once

Image.MAX_IMAGE_PIXELS = None  # data.max_pixels is the limit, which may be a higher one than Pillow's
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # of damaged metadata, and they name no file


class BrokenImageError(UserError):
    """A file that is no image, or too large a one; the message is one line that names it."""


class TooLargeError(BrokenImageError):
    """An image of more pixels than it may have."""


def read_image(path: str | Path, max_pixels: int | None = None, shortest: int | None = None) -> Tensor:
    """Read an image as uint8 [3, height, width], upright by its EXIF orientation.

    A JPEG comes smaller, by 2, 4 or 8, if its shorter side has `shortest` pixels then. By default it comes whole, from
    torchvision's decoder, which is twice as fast as Pillow's here; everything else goes through Pillow. Never through
    nvJPEG, GPU or not: torchvision has it repeat the nearest colour where libjpeg interpolates
    (https://github.com/sgl-project/sglang/pull/34163), and a model would see other pixels when it is served than when
    it was trained. Transparent images are laid on white, values of more than 8 bits are scaled (`to_rgb`), and of an
    animation the first frame is taken. The content decides, not the file's ending.

    Raises:
        BrokenImageError: the file can't be read or decoded, nothing says in which range its values lie, or its header
            speaks of more than `max_pixels` pixels (TooLargeError).
    """
    return decode_image(_content(path), path, max_pixels, shortest)


def read_with_size(path: str | Path, max_pixels: int, shortest: int) -> tuple[Tensor, tuple[int, int]]:
    """`read_image`, and the width and height that the whole image has, upright."""
    return _decode_with_size(_content(path), path, max_pixels, shortest)


def decode_image(
    content: bytes, name: str | Path, max_pixels: int | None = None, shortest: int | None = None
) -> Tensor:
    """`read_image` for a file's content, wherever it came from; errors call it `name`."""
    return _decode_with_size(content, name, max_pixels, shortest)[0]


def _content(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BrokenImageError(f"{path} can't be decoded ({_reason(error)})") from error


def _decode_with_size(
    content: bytes, name: str | Path, max_pixels: int | None, shortest: int | None
) -> tuple[Tensor, tuple[int, int]]:
    try:
        if not content:
            raise UserError("the file is empty")
        if str(name).lower().endswith(tuple(RAW)):
            raise UserError("a camera's raw format")
        with Image.open(BytesIO(content)) as image:  # which decodes nothing yet
            pixels = image.width * image.height
            if max_pixels is None or pixels <= max_pixels:
                is_jpeg = content.startswith(JPEG_MAGIC)
                decoded = _decode_jpeg(content, image, shortest) if is_jpeg else _decode_with_pillow(image)
                upright = _upright(decoded, image)
                is_turned = upright.shape != decoded.shape
                return upright, (image.height, image.width) if is_turned else (image.width, image.height)
    except Exception as error:  # on a broken file, a decoder raises anything
        remedy = ": convert it to JPEG, PNG or TIFF" if str(name).lower().endswith(tuple(UNREADABLE)) else ""
        raise BrokenImageError(f"{name} can't be decoded ({_reason(error)}){remedy}") from error
    raise TooLargeError(f"{name} has {pixels:,} pixels, more than {max_pixels:,}")


def decode_pil(image: Image.Image, max_pixels: int | None = None) -> Tensor:
    """`read_image` for a PIL image, which may be of a file that is not decoded yet; raises BrokenImageError."""
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise TooLargeError(f"the PIL image has {image.width * image.height:,} pixels, more than {max_pixels:,}")
    try:
        with _loading:
            return _upright(_decode_with_pillow(image), image)
    except Exception as error:
        raise BrokenImageError(f"the PIL image can't be decoded ({_reason(error)})") from error


def _decode_jpeg(content: bytes, image: Image.Image, shortest: int | None) -> Tensor:
    scale = scale_for(image.height, image.width, shortest)
    if scale > 1 and image.mode != "CMYK":  # whose colours come out otherwise there
        scaled = decode_scaled_jpeg(content, image.height, image.width, scale)
        if scaled is not None:
            return scaled
    try:
        return _decode_whole_jpeg(content)
    except RuntimeError:
        # Does it lack but its end mark? With one, libjpeg fills up whatever else is missing, and warns of it.
        with held_stderr() as held:
            decoded, warning = held.alone(_decode_whole_jpeg, content + END_OF_JPEG)
        if warning or not _has_all_scans(content):
            raise
        return decoded


def _has_all_scans(content: bytes) -> bool:
    """Whether every coefficient of a JPEG comes to its last bit: of a progressive one, whole scans may be missing.

    Markers and scan headers are those of ITU-T T.81, B.2.
    """
    lacking: set[tuple[int, int]] = set()  # component and coefficient
    at = 2
    while at + 4 <= len(content):
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        segment, at = content[at + 4 : at + 2 + length], at + 2 + length
        if marker == PROGRESSIVE:
            lacking = {(component, i) for component in segment[6::3] for i in range(64)}
        elif marker == SCAN:
            first, last, bits = segment[-3:]
            if bits & 15 == 0:
                lacking -= {(component, i) for component in segment[1:-3:2] for i in range(first, last + 1)}
            found = MARKER.search(content, at)
            at = found.start() if found else len(content)
    return not lacking


def _decode_whole_jpeg(content: bytes) -> Tensor:
    image = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
    assert isinstance(image, Tensor)  # a list comes only for a list
    return image


def _decode_with_pillow(image: Image.Image) -> Tensor:
    image.load()
    return torch.from_numpy(np.array(to_rgb(image))).permute(2, 0, 1)


def _upright(decoded: Tensor, image: Image.Image) -> Tensor:
    """Turned by the orientation in the file's Exif or XMP; torchvision looks for it in the first segment alone."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # on damaged Exif, which is no part of the image
        return decoded
    if orientation not in FLIPS:
        return decoded
    return (decoded.mT if orientation >= 5 else decoded).flip(FLIPS[orientation])


def _reason(error: Exception) -> str:
    """The error in a few words: torchvision puts its source file in front, the system the path, Pillow an address."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UserError):
        return str(error)
    return str(error).rsplit(", ", maxsplit=1)[-1] or type(error).__name__
