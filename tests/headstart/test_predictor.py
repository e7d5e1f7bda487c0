"""What a predictor takes for images, and what it says of them: on a model that knows three colours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from odd_images import TOO_LARGE, bomb, saved
from PIL import Image
from torch import Tensor, nn

from headstart.backbone import Preprocessing
from headstart.errors import UserError
from headstart.predictor import Predictor

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SIDE, SIZE = 32, (40, 60)  # of the crop; width and height of the images
GREY = (0.0, 0.0, 0.0)


class Colours(nn.Module):
    """Logits of three colours: the means of the channels."""

    classes = tuple(COLOURS)
    preprocessing = Preprocessing(SIDE, SIDE, "bilinear", GREY, GREY)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        assert images.shape[1:] == (3, SIDE, SIDE)
        self.seen.append(len(images))
        return self.backbone(images.float() / 64)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(Colours(), "32-true")


@pytest.fixture
def red() -> Image.Image:
    return Image.new("RGB", SIZE, COLOURS["red"])


def forms(image: Image.Image, folder: Path) -> Iterator[Any]:
    """One image in every form that may be given."""
    image.save(folder / "a, [b]=c.png")
    yield str(folder / "a, [b]=c.png")
    yield folder / "a, [b]=c.png"
    yield image
    yield image.convert("RGBA")
    array = np.asarray(image)  # which can't be written
    assert not array.flags.writeable
    yield array
    yield np.array(image)[:, ::-1]  # not in one piece
    yield torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_every_form_of_an_image(predictor: Predictor, red: Image.Image, tmp_path: Path) -> None:
    all_forms = list(forms(red, tmp_path))
    found = predictor.predict(all_forms)
    assert [name for name, _ in found] == ["red"] * len(all_forms)
    assert len({round(probability, 5) for _, probability in found}) == 1
    for one, wanted in zip(all_forms, found, strict=True):
        assert predictor.predict(one) == [wanted]


def test_several(predictor: Predictor, red: Image.Image, tmp_path: Path) -> None:
    blue = Image.new("RGB", SIZE, COLOURS["blue"])
    arrays = np.stack([np.array(red), np.array(blue)])
    wanted = ["red", "blue"]
    tensors = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    for several in ([red, blue], (red, blue), iter([red, blue]), arrays, tensors, [*arrays], [*tensors]):
        assert [name for name, _ in predictor.predict(several)] == wanted
    for name, image in (("1", red), ("2", blue)):
        image.save(tmp_path / f"{name}.png")
    assert [name for name, _ in predictor.predict(sorted(tmp_path.glob("*.png")))] == wanted
    assert [name for name, _ in predictor.predict(path for path in sorted(tmp_path.iterdir()))] == wanted
    assert predictor.predict([]) == predictor.predict(arrays[:0]) == predictor.predict(tensors[:0]) == []


def test_many_go_in_batches_and_come_in_order(predictor: Predictor) -> None:
    images = np.zeros((150, 8, 8, 3), np.uint8)
    images[np.arange(150), ..., np.arange(150) % 3] = 255
    assert [name for name, _ in predictor.predict(images)] == [*COLOURS] * 50
    assert predictor.model.seen == [64, 64, 22]


def test_grey_and_what_pil_has_besides(predictor: Predictor) -> None:
    grey = np.full((30, 20), 255, np.uint8)
    ((_, probability),) = predictor.predict(grey)
    assert probability == pytest.approx(1 / 3)
    sixteen = Image.fromarray(np.full((30, 20), 65535, np.uint16))
    assert predictor.predict([Image.fromarray(grey), sixteen])[1][1] == pytest.approx(1 / 3)


def test_a_pil_image_is_as_upright_as_its_file(predictor: Predictor, tmp_path: Path) -> None:
    sides = np.zeros((SIDE, SIDE, 3), np.uint8)
    sides[: SIDE // 2] = COLOURS["red"]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(sides).save(tmp_path / "turned.png", exif=exif)
    from_file = predictor.read(tmp_path / "turned.png")
    assert from_file[0, :, -1].min() == 255, "red is on the right"
    assert torch.equal(predictor.read(Image.open(tmp_path / "turned.png")), from_file)


def test_one_lazy_pil_image_for_many_threads(predictor: Predictor, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    wanted = predictor.predict(tmp_path / "a.png")
    for _ in range(5):
        assert predictor.predict([Image.open(tmp_path / "a.png")] * 16) == wanted * 16


WRONG = {
    "None": None,
    "a number": 3,
    "bytes": b"\xff\xd8",
    "floats": np.zeros((4, 4, 3)),
    "sixteen bits": np.zeros((4, 4, 3), np.uint16),
    "objects": np.array([None, "x"]),
    "a float tensor": torch.zeros(3, 4, 4),
    "channels first": np.zeros((3, 8, 8), np.uint8),
    "channels last": torch.zeros(8, 8, 3, dtype=torch.uint8),
    "four channels": torch.zeros(4, 8, 8, dtype=torch.uint8),
    "a flat one": np.zeros(12, np.uint8),
    "no pixels": np.zeros((0, 8, 3), np.uint8),
    "a batch of nothing": torch.zeros(2, 3, 0, 8, dtype=torch.uint8),
    "a batch of batches": np.zeros((1, 1, 8, 8, 3), np.uint8),
    "no file": "nowhere.jpg",
    "a folder": ".",
    "one of several": [np.zeros((4, 4, 3), np.uint8), "nowhere.jpg"],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_no_image_is_one_line(predictor: Predictor, wrong: Any) -> None:
    with pytest.raises(UserError) as caught:
        predictor.predict(wrong)
    assert "\n" not in str(caught.value)


def test_a_broken_pil_image_is_one_line(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(saved("png")[:-50])
    cut = pytest.raises(UserError, match=r"the PIL image can't be decoded \(image file is truncated")
    with Image.open(tmp_path / "cut.png") as image, cut:
        predictor.predict(image)
    with pytest.raises(UserError, match="the PIL image can't be decoded"):
        predictor.predict(image)  # which is closed by now


@pytest.mark.parametrize("ending", ["png", "jpeg"])
def test_a_bomb_is_not_decoded(predictor: Predictor, tmp_path: Path, ending: str) -> None:
    (tmp_path / "bomb").write_bytes(bomb(ending))
    with pytest.raises(UserError, match=rf"bomb {TOO_LARGE}$"):
        predictor.predict(tmp_path / "bomb")
    with Image.open(tmp_path / "bomb") as image, pytest.raises(UserError, match=rf"the PIL image {TOO_LARGE}$"):
        predictor.predict(image)
    (found,) = predictor.each([str(tmp_path / "bomb")])
    assert found.error.endswith(f"bomb {TOO_LARGE}")


def test_each_goes_on_after_broken_files(predictor: Predictor, red: Image.Image, tmp_path: Path) -> None:
    red.save(tmp_path / "red.jpg")
    whole = (tmp_path / "red.jpg").read_bytes()
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noisy).save(tmp_path / "noisy.jpg")
    content = bytearray((tmp_path / "noisy.jpg").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = b"\xff\xd3\xff\xd1\xff\xd5\xff\xd0"  # libjpeg only warns of it
    (tmp_path / "damaged.jpg").write_bytes(content)
    (tmp_path / "cut.jpg").write_bytes(whole[:-99])
    (tmp_path / "text.jpg").write_text("no image")
    names = ["cut.jpg", "red.jpg", "text.jpg", "damaged.jpg", "gone.jpg", "red.jpg"]
    found = list(predictor.each([str(tmp_path / name) for name in names], batch_size=4))
    assert [Path(one.path).name for one in found] == names
    assert [bool(one.error) for one in found] == [True, False, True, True, True, False]
    assert all((one.probabilities is None) == bool(one.error) for one in found)
    assert "Corrupt JPEG data" in found[3].error
    assert predictor.model.seen == [1, 1]


def test_each_of_none(predictor: Predictor) -> None:
    assert list(predictor.each([])) == []


def test_temperature_divides_logits(predictor: Predictor) -> None:
    image = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    image[:, 0] = 64
    assert torch.allclose(predictor.probabilities(image), torch.tensor([[1.0, 0.0, 0.0]]).softmax(dim=1))
    predictor.temperature = 0.5
    assert torch.allclose(predictor.probabilities(image), torch.tensor([[2.0, 0.0, 0.0]]).softmax(dim=1))
    assert not predictor.probabilities(image).requires_grad
