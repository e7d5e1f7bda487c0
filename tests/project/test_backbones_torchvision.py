"""torchvision's models: the width of each one's features, preprocessing, and what a wrong name is told."""

from typing import Any

import pytest
import torch
from torchvision import models
from torchvision.models import regnet

from project.backbones.torchvision import from_torchvision

NAMES = models.list_models(module=models)


@pytest.fixture
def regnet_on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """RegNet computes its widths with tensors, which must not be on the meta device where the rest is."""
    original = regnet.BlockParams.from_init_params.__func__

    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):
            return original(*args, **kwargs)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", classmethod(on_cpu))


def test_all_models_are_there() -> None:
    assert len(NAMES) >= 80


@pytest.mark.usefixtures("regnet_on_meta")
@pytest.mark.parametrize("name", NAMES)
def test_features(name: str) -> None:
    with torch.device("meta"):
        backbone = from_torchvision(name, weights=None)
    side = backbone.preprocessing.crop
    features = backbone.network(torch.empty(2, 3, side, side, device="meta"))
    assert features.shape == (2, backbone.num_features)
    assert backbone.num_features != 1000


def test_unknown_name_is_answered_with_similar_ones() -> None:
    with pytest.raises(ValueError, match=r"resnet52.*resnet50"):
        from_torchvision("resnet52")


@pytest.mark.parametrize(("name", "weights"), [("resnet50", "IMAGENET1K_V3"), ("vgg16", "IMAGENET1K_FEATURES")])
def test_unknown_weights_are_answered_with_those_there_are(name: str, weights: str) -> None:
    with pytest.raises(ValueError, match=f"{weights}.*it has: IMAGENET1K_V1"):
        from_torchvision(name, weights)


@pytest.mark.parametrize(
    ("name", "resize", "crop", "interpolation", "mean"),
    [
        ("resnet18", 256, 224, "bilinear", 0.485),
        ("resnet50", 232, 224, "bilinear", 0.485),
        ("efficientnet_b1", 255, 240, "bilinear", 0.485),
        ("inception_v3", 342, 299, "bilinear", 0.485),
        ("swin_v2_t", 260, 256, "bicubic", 0.485),
        ("efficientnet_v2_l", 480, 480, "bicubic", 0.5),
    ],
)
def test_preprocessing(name: str, resize: int, crop: int, interpolation: str, mean: float) -> None:
    with torch.device("meta"):
        preprocessing = from_torchvision(name, weights=None).preprocessing
    assert (preprocessing.resize, preprocessing.crop) == (resize, crop)
    assert (preprocessing.interpolation, preprocessing.mean[0]) == (interpolation, mean)
