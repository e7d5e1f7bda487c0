"""Files that are hardly images, for the tests."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

SIDE = 14_000
TOO_LARGE = "has 196,000,000 pixels, more than 178,956,970"


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


def tiff(values: np.ndarray, photometric: int = 1, more: dict[int, float] | None = None) -> bytes:
    """A greyscale TIFF as its specification has it (TIFF 6.0, 1992); `more` are tags of the type DOUBLE."""
    height, width = values.shape
    order, data = values.dtype.str[0].replace("|", "<"), values.tobytes()
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = {256: width, 257: height, 258: values.itemsize * 8, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags |= {279: len(data), 339: sample_format}
    entries = [struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items()]
    doubles = b""
    for tag, value in (more or {}).items():
        entries.append(struct.pack(f"{order}HHII", tag, 12, 1, 8 + len(data) + len(doubles)))
        doubles += struct.pack(f"{order}d", value)
    mark = b"II" if order == "<" else b"MM"
    start = struct.pack(f"{order}HI", 42, 8 + len(data) + len(doubles))
    end = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    return mark + start + data + doubles + end
