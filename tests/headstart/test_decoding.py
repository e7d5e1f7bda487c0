import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from headstart.images.decoding import BrokenImageError, decode_image, read_image

HEIGHT, WIDTH = 48, 64


def sample_image() -> Image.Image:
    """Red on the left, blue on the right, green on top: no turn or mirror image looks the same."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, :32] = (200, 20, 20)
    pixels[:, 32:] = (20, 20, 200)
    pixels[:16] = (20, 200, 20)
    return Image.fromarray(pixels)


def expected() -> Tensor:
    return torch.from_numpy(np.asarray(sample_image()).copy()).permute(2, 0, 1)


def assert_alike(found: Tensor, wanted: Tensor, tolerance: float = 6) -> None:
    assert found.dtype == torch.uint8
    assert found.shape == wanted.shape
    assert (found.float() - wanted.float()).abs().mean() < tolerance


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.jpg", "RGB", {"quality": 95}),
        ("a.JPEG", "CMYK", {"quality": 95}),
        ("a.png", "RGB", {}),
        ("a.png", "P", {}),
        ("a.webp", "RGB", {"lossless": True}),
        ("a.bmp", "RGB", {}),
        ("a.gif", "P", {}),
        ("a.tif", "RGB", {}),
        ("a.tiff", "CMYK", {}),
    ],
)
def test_every_format_comes_out_as_rgb(tmp_path: Path, name: str, mode: str, options: dict) -> None:
    sample_image().convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / name, **options)
    assert_alike(read_image(tmp_path / name), expected())


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_greyscale_has_three_equal_channels(tmp_path: Path, name: str) -> None:
    grey = sample_image().convert("L")
    grey.save(tmp_path / name)
    wanted = torch.from_numpy(np.asarray(grey).copy()).expand(3, -1, -1)
    assert_alike(read_image(tmp_path / name), wanted)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, name: str) -> None:
    ramp = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / name)
    wanted = torch.from_numpy((ramp >> 8).astype(np.uint8)).expand(3, -1, -1)
    assert_alike(read_image(tmp_path / name), wanted, tolerance=1)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif"])
def test_transparent_images_lie_on_white(tmp_path: Path, name: str) -> None:
    image = sample_image().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, WIDTH, 16))
    image.save(tmp_path / name, lossless=True)
    found = read_image(tmp_path / name)
    assert (found[:, :16] == 255).all()
    assert_alike(found[:, 16:], expected()[:, 16:])


TURNED = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that stores the upright image so


def turned(orientation: int) -> Image.Image:
    method = TURNED[orientation]
    return sample_image() if method is None else sample_image().transpose(Image.Transpose(method))


def exif(orientation: int, order: str = "<") -> bytes:
    """A TIFF directory with one entry, as Exif has it: tag 274, a SHORT, once."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 274, 3, 1, orientation, 0, 0)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **({} if format == "tiff" else {"quality": 95}), **options)
    return file.getvalue()


def app1(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def xmp(orientation: int) -> bytes:
    return b"http://ns.adobe.com/xap/1.0/\0" + f'<x tiff:Orientation="{orientation}"/>'.encode()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_orientation(kind: str, orientation: int) -> bytes:
    """The image stored turned, and told so in one of the ways that cameras and editors have."""
    stored = turned(orientation)
    jpeg, png = saved(stored, "jpeg"), saved(stored, "png")
    little, big = (b"Exif\0\0" + exif(orientation, order) for order in "<>")
    match kind:
        case "jpeg, Exif":
            return jpeg[:2] + app1(little) + jpeg[2:]
        case "jpeg, XMP before Exif":
            return jpeg[:2] + app1(b"http://ns.adobe.com/xap/1.0/\0<x/>") + app1(big) + jpeg[2:]
        case "jpeg, Exif after JFIF, tables and a comment":
            return jpeg[:20] + b"\xff\xfe\0\4hi" + app1(b"other\0") + app1(little) + jpeg[20:]
        case "jpeg, XMP alone":
            return jpeg[:2] + app1(xmp(orientation)) + jpeg[2:]
        case "mpo":
            return saved(stored, "mpo", save_all=True, append_images=[Image.new("RGB", (9, 9))], exif=big)
        case "png, eXIf at the end":
            return png[:-12] + png_chunk(b"eXIf", exif(orientation, ">")) + png[-12:]
        case "png, XMP":
            text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(orientation)[29:]
            return png[:33] + png_chunk(b"iTXt", text) + png[33:]
        case "webp":
            return saved(stored, "webp", exif=exif(orientation, ">"))
        case "tiff, LZW":
            return saved(stored, "tiff", compression="tiff_lzw", tiffinfo={274: orientation})
    return saved(stored, "tiff", big_tiff=True, tiffinfo={274: orientation})


KINDS = ["jpeg, Exif", "jpeg, XMP before Exif", "jpeg, Exif after JFIF, tables and a comment", "jpeg, XMP alone", "mpo"]
KINDS += ["png, eXIf at the end", "png, XMP", "webp", "tiff, LZW", "tiff, big"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_wherever_their_orientation_is_told(kind: str, orientation: int) -> None:
    content = with_orientation(kind, orientation)
    with Image.open(BytesIO(content)) as image:
        upright = torch.from_numpy(np.array(ImageOps.exif_transpose(image))).permute(2, 0, 1)
    assert_alike(upright, expected())  # Pillow says so
    assert_alike(decode_image(content, kind), expected())


@pytest.mark.parametrize("damaged", [exif(6)[:14], exif(9), b"II*\0\xff\xff\xff\xff", b""])
def test_damaged_exif_is_no_damaged_image(damaged: bytes) -> None:
    jpeg = saved(sample_image(), "jpeg")
    assert_alike(decode_image(jpeg[:2] + app1(b"Exif\0\0" + damaged) + jpeg[2:], "a.jpg"), expected())


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif")[:, 0, 0].tolist() == [255, 0, 0]


def test_the_content_decides_not_the_ending(tmp_path: Path) -> None:
    sample_image().save(tmp_path / "really.png", "PNG")
    (tmp_path / "really.png").rename(tmp_path / "called.jpg")
    assert_alike(read_image(tmp_path / "called.jpg"), expected())


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif", "a.tif", "a.bmp"])
def test_broken_files_are_named_in_one_line(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    for broken in (content[: len(content) // 2], b"", b"<html>not found</html>"):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(ValueError, match=f"{name} can't be decoded") as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert "0x" not in str(caught.value)


def test_a_vanished_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.jpg can't be decoded"):
        read_image(tmp_path / "gone.jpg")


@pytest.mark.parametrize("ending", ["jpeg", "png", "webp", "bmp", "gif", "tiff"])
def test_half_a_image_is_never_filled_up(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "image"
    sample_image().save(path, ending)
    content, whole = path.read_bytes(), read_image(path)
    for length in range(0, len(content), len(content) // 30):
        path.write_bytes(content[:length])
        try:
            assert torch.equal(read_image(path), whole)  # only what comes after the image was cut off
        except ValueError:
            continue


def test_whatever_a_decoder_raises_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample_image().save(tmp_path / "odd.png")
    monkeypatch.setattr(Image, "open", lambda _: {}["no such key"])
    with pytest.raises(BrokenImageError, match=r"odd\.png can't be decoded \('no such key'\)"):
        read_image(tmp_path / "odd.png")
