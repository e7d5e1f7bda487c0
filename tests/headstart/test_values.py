"""Values of any type come out in the range that the file declares, or the file is refused by name."""

import numpy as np
import pytest
from odd_images import tiff

from headstart.images.decoding import BrokenImageError, decode_image

GREY = np.tile(np.arange(256), (16, 1))  # what every file shows, from black to white
UNIT, SIXTEEN, TWELVE = GREY / 255, GREY * 257, GREY * 4095 / 255
SMIN, SMAX, MAX = 340, 341, 281


def pnm(magic: str, maximum: float, values: np.ndarray) -> bytes:
    """Netpbm's PGM, and Debevec's PFM, which is stored from the bottom to the top."""
    return f"{magic} 256 16 {maximum}\n".encode() + values.tobytes()


@pytest.mark.parametrize(
    "content",
    [
        tiff(UNIT.astype("<f4")),
        tiff(UNIT.astype(">f4")),
        tiff((1 - UNIT).astype("<f4"), photometric=0),
        tiff((GREY * 10.0 - 50).astype("<f4"), more={SMIN: -50, SMAX: 2500}),
        tiff((GREY * 8 - 1024).astype("<i2"), more={SMIN: -1024, SMAX: 1016}),
        tiff((GREY - 128).astype("i1"), more={SMIN: -128, SMAX: 127}),
        tiff((GREY * 0x01010101).astype("<u4"), more={SMIN: 0, SMAX: 2**32 - 1}),
        tiff(SIXTEEN.astype("<u2")),
        tiff(SIXTEEN.astype(">u2")),
        tiff((65535 - SIXTEEN).astype("<u2"), photometric=0),
        tiff(TWELVE.astype("<u2"), more={MAX: 4095}),
        tiff(SIXTEEN.astype("<u2"), more={MAX: 65000}),  # a statistic
        tiff((255 - GREY).astype("u1"), photometric=0),
        pnm("P5", 4095, TWELVE.astype(">u2")),
        pnm("Pf", -1.0, UNIT.astype("<f4")),
    ],
)
def test_values_are_scaled_by_what_the_file_declares(content: bytes) -> None:
    found = decode_image(content, "grey").numpy()
    assert np.abs(found.astype(int) - GREY).max() <= 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff(GREY.astype("<f4")), r"values from 0 to 255 aren't within 0 and 1: .* SMaxSampleValue"),
        (tiff((UNIT - 0.5).astype("<f4")), r"values from -0\.5 to 0\.5 aren't within 0 and 1"),
        (tiff(np.full((16, 256), np.nan, "<f4")), "values are no numbers"),
        (tiff(GREY.astype("<i2")), "signed or 32-bit integers"),
        (tiff(GREY.astype(">i2")), "signed or 32-bit integers"),
        (tiff(GREY.astype("<i4")), "signed or 32-bit integers"),
        (tiff(GREY.astype("<u4")), "signed or 32-bit integers"),
        (tiff(GREY.astype("i1")), "signed or 32-bit integers"),
        (tiff(GREY.astype("<f8")), "not an image in a format that Pillow knows"),
    ],
)
def test_values_in_no_known_range_are_refused_by_name(content: bytes, reason: str) -> None:
    with pytest.raises(BrokenImageError, match=rf"^a\.tif can't be decoded \(.*{reason}"):
        decode_image(content, "a.tif")
