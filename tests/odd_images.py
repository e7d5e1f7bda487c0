"""Files that are hardly images, for the tests."""

import struct
import zlib
from io import BytesIO

from PIL import Image

SIDE = 14_000
TOO_LARGE = "has 196,000,000 pixels, more than data.max_pixels=178,956,970"


def saved(ending: str, side: int = 64) -> bytes:
    file = BytesIO()
    Image.linear_gradient("L").resize((side, side)).save(file, ending)
    return file.getvalue()


def bomb(ending: str) -> bytes:
    """A small file whose header speaks of SIDE x SIDE pixels."""
    content = bytearray(saved(ending))
    if ending == "png":
        content[16:24] = struct.pack(">II", SIDE, SIDE)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = struct.pack(">HH", SIDE, SIDE)
    return bytes(content)
