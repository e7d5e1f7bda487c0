from pathlib import Path

import pytest
import torch
from torchvision.models import get_model_weights
from torchvision.transforms.v2 import functional as F  # noqa: N812

from headstart.backbone import Preprocessing
from headstart.images.decoding import read_image
from headstart.images.transforms import ResizeAndCrop
from project.backbones.torchvision import from_torchvision

HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0"])
def test_pixels_are_those_of_the_weights_own_transform(images: Path, name: str) -> None:
    preprocessing = from_torchvision(name, weights=None).preprocessing
    image = F.resize(read_image(next(images.glob("train/*/*.jpg"))), [300, 400])
    ours = ResizeAndCrop(preprocessing)(image)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    theirs = (get_model_weights(name)["DEFAULT"].transforms()(image) * std + mean) * 255
    assert (ours - theirs).abs().max() < 1.01  # theirs resizes in float and rounds, ours resizes in uint8


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (20_000, 20), (224, 224), (600, 90)])
def test_any_size_becomes_the_crop(size: tuple[int, int]) -> None:
    image = torch.randint(0, 255, (3, *size), dtype=torch.uint8)
    out = ResizeAndCrop(Preprocessing(256, 224, "bicubic", HALF, HALF))(image)
    assert out.shape == (3, 224, 224)
    assert out.dtype == torch.uint8


def test_cutting_the_far_ends_changes_nothing_in_the_middle() -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 255, (3, 64, 640), dtype=torch.uint8)
    wanted = F.center_crop(F.resize(image, [64], interpolation=F.InterpolationMode.BICUBIC), [64, 64])
    assert torch.equal(ResizeAndCrop(Preprocessing(64, 64, "bicubic", HALF, HALF))(image), wanted)


def test_a_squashed_image_keeps_its_ends() -> None:
    image = torch.zeros(3, 50, 400, dtype=torch.uint8)
    image[:, :, :20] = 255
    out = ResizeAndCrop(Preprocessing((64, 64), 64, "bilinear", HALF, HALF))(image)
    assert out[:, :, 0].float().mean() > 200
