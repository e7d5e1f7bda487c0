"""Large JPEGs are decoded at a part of their size, and look the same to a network."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor

from headstart.backbone import Preprocessing
from headstart.images import decoding
from headstart.images.augmentation import LIGHT, Augment
from headstart.images.checks import MAX_PIXELS, check_images
from headstart.images.decoding import BrokenImageError, decode_image, read_image
from headstart.images.looks import Look
from headstart.images.transforms import RandomView, ResizeAndCrop

PREPROCESSING = Preprocessing(64, 56, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CROP = ResizeAndCrop(PREPROCESSING)


def photograph(width: int = 1000, height: int = 700, mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG with as little fine detail as a photograph of so many pixels has, and something else in every corner."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 10, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    fine = rng.normal(0, 6, (height, width, 3))
    image = Image.fromarray((np.asarray(coarse) + fine).clip(0, 255).astype(np.uint8)).convert(mode)
    image.save(file := BytesIO(), "JPEG", quality=90, **options)
    return file.getvalue()


def difference(one: Tensor, other: Tensor) -> float:
    return (CROP(one).float() - CROP(other).float()).abs().mean().item()


@pytest.mark.parametrize(
    ("shortest", "shape"),
    [(None, (700, 1000)), (351, (700, 1000)), (350, (350, 500)), (175, (175, 250)), (90, (175, 250)), (9, (88, 125))],
)
def test_it_has_as_many_pixels_as_are_needed(shortest: int | None, shape: tuple[int, int]) -> None:
    assert decode_image(photograph(), "it", shortest=shortest).shape == (3, *shape)


def test_what_is_needed_differs_little_and_half_of_it_much_more() -> None:
    whole = decode_image(photograph(), "it")
    enough = difference(decode_image(photograph(), "it", shortest=CROP.shortest), whole)
    assert 0 < enough < 0.35
    assert difference(decode_image(photograph(), "it", shortest=CROP.shortest // 2), whole) > 2 * enough


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "options", [{}, {"mode": "L"}, {"mode": "CMYK"}, {"progressive": True, "subsampling": 0}], ids=str
)
def test_it_is_upright_and_in_its_colours(orientation: int, options: dict[str, Any]) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = photograph(exif=exif, **options)
    whole, small = decode_image(content, "it"), decode_image(content, "it", shortest=CROP.shortest)
    assert difference(small, whole) < 0.6
    assert (small.shape == whole.shape) == (options == {"mode": "CMYK"})
    assert (small.shape[1] > small.shape[2]) == (orientation >= 5)


def damaged() -> dict[str, bytes]:
    content = photograph()
    return {
        "without its end": content[:-2],
        "half of it": content[: len(content) // 2],
        "a hole": content[: len(content) // 2] + b"\xff\xd9" + content[len(content) // 2 :],
        "other bytes": content[:5000] + bytes(3000) + content[8000:],
        "the header alone": content[:400],
    }


@pytest.mark.parametrize("kind", damaged())
def test_damage_is_what_it_is_for_a_whole_decode(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "it.jpg"
    path.write_bytes(damaged()[kind])
    told = []
    for shortest in (None, CROP.shortest):
        try:
            told.append(read_image(path, shortest=shortest).shape)
        except BrokenImageError as error:
            told.append(str(error))
    assert isinstance(told[0], str) == isinstance(told[1], str)
    if isinstance(told[0], str):
        assert told[0] == told[1]


def test_the_check_finds_damage_and_the_whole_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    (tmp_path / "whole.jpg").write_bytes(photograph(1600, 1200, exif=exif))
    (tmp_path / "warned.jpg").write_bytes(photograph(1600, 1200)[:-3000] + b"\xff\xd9")
    checked = check_images([str(path) for path in tmp_path.iterdir()], tmp_path / "checked", "skip", MAX_PIXELS)
    assert checked.broken == {str(tmp_path / "warned.jpg")}
    (look,) = checked.looks.values()
    assert isinstance(look, Look)
    assert (look.width, look.height) == (1200, 1600)


@pytest.mark.parametrize("augment", [Augment(), LIGHT, Augment(scale=(0.1, 0.2), flip=True)], ids=str)
def test_every_crop_has_twice_the_pixels_of_each_side(augment: Augment, monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []

    def resized_crop(*arguments: Any, **_: Any) -> Tensor:
        sides.extend(arguments[3:5])
        return torch.zeros(3, *arguments[5], dtype=torch.uint8)

    monkeypatch.setattr("headstart.images.transforms.F.resized_crop", resized_crop)
    view = RandomView(PREPROCESSING, augment)
    image = torch.zeros(3, view.shortest, view.shortest + 50, dtype=torch.uint8)
    for seed in range(300):
        view(image, seed)
    assert all(side >= 2 * PREPROCESSING.crop - 1 for side in sides)
    assert view.shortest >= 2 * PREPROCESSING.crop
    assert len(sides) == (600 if augment.scale else 0)


def test_other_formats_come_whole(tmp_path: Path) -> None:
    Image.open(BytesIO(photograph())).save(tmp_path / "it.png")
    assert read_image(tmp_path / "it.png", shortest=10).shape == (3, 700, 1000)
    assert decoding.read_with_size(tmp_path / "it.png", MAX_PIXELS, 10)[1] == (1000, 700)
