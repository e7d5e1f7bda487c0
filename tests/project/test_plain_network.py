"""A classifier as a plain network of timm's or torchvision's (headstart.extras.serving), and as one for raw images."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from headstart.backbone import Backbone, Preprocessing
from headstart.extras.serving.export.network import OfAnySize, Probabilities, can_resize
from headstart.extras.serving.plain import plain_network
from headstart.images.transforms import ResizeAndCrop
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision
from project.model.classifier import Classifier
from project.model.heads import linear, mlp

SIDE, GREY = 64, (0.5, 0.5, 0.5)
NETWORKS: dict[str, tuple[partial[Backbone], Any, str]] = {
    "resnet": (partial(from_torchvision, "resnet18"), linear, "torchvision"),
    "mlp": (partial(from_torchvision, "mobilenet_v3_small"), partial(mlp, norm="batch"), "torchvision"),
    "squeezenet": (partial(from_torchvision, "squeezenet1_1"), linear, ""),  # ends in a convolution
    "vit": (partial(from_timm, "vit_tiny_patch16_224", image_size=SIDE), partial(linear, norm="layer"), "timm"),
    "distilled": (partial(from_timm, "deit_tiny_distilled_patch16_224", image_size=SIDE), linear, "timm"),
    "gem": (partial(from_timm, "mobilenetv3_small_050", pooling="gem"), linear, ""),
}


def classifier(backbone: Backbone, head: Any) -> Classifier:
    model = Classifier(backbone, head, ["a", "b", "c"]).eval()
    for parameter in model.head.parameters():
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_the_code_and_the_tensors_make_the_same_network(name: str) -> None:
    make, head, library = NETWORKS[name]
    model = classifier(make(weights=None), head)
    plain = plain_network(model)
    side = model.preprocessing.crop
    images = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    floats, wanted = (images - model.mean) / model.std, model(images)
    assert plain.library == library
    assert torch.allclose(plain.network(floats), wanted, rtol=1e-4, atol=1e-5)
    assert torch.allclose(Probabilities(model)(images), wanted.softmax(dim=1), atol=1e-5)
    if library:
        made: dict[str, Any] = {}
        exec(plain.code, made)
        made["model"].load_state_dict(plain.network.state_dict())
        assert torch.allclose(made["model"].eval()(floats), wanted, rtol=1e-4, atol=1e-5)


def test_adapters_are_merged_into_the_weights() -> None:
    pytest.importorskip("peft")
    from headstart.extras.lora import add_adapters

    model = classifier(from_timm("test_vit", None), linear)
    names = {name for name, _ in model.backbone.named_modules()}
    before = torch.randn(2, 3, 160, 160)
    untouched = model.head(model.backbone(before))
    add_adapters(model.backbone, names, torch.zeros(1, 3, 160, 160))
    for name, parameter in model.backbone.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    wanted = model.head(model.backbone.eval()(before))
    plain = plain_network(model)
    assert plain.library == "timm"
    assert not torch.allclose(wanted, untouched, atol=1e-2)
    assert torch.allclose(plain.network(before), wanted, atol=1e-4)
    assert not [name for name in plain.network.state_dict() if "lora" in name]


@pytest.mark.parametrize("resize", [40, (36, 50), 32])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resizing_inside_is_that_of_training(resize: int | tuple[int, int], interpolation: str) -> None:
    preprocessing = Preprocessing(resize, 32, interpolation, GREY, GREY)
    assert can_resize(preprocessing)
    inside, outside = OfAnySize(nn.Identity(), preprocessing), ResizeAndCrop(preprocessing)
    for height, width in ((32, 32), (33, 70), (71, 45), (20, 300), (301, 31), (1, 1), (7, 29), (150, 173)):
        image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        assert torch.equal(inside(image[None])[0], outside(image)), (height, width)


def test_a_preprocessing_that_pads_is_left_outside() -> None:
    said = SimpleNamespace(resize=30, crop=32, interpolation="bicubic")
    assert not can_resize(said)  # pyright: ignore[reportArgumentType]
