"""Poolings other than the network's own, checked against the network's parts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from headstart.backbone import Backbone
from headstart.extras.huggingface.backbone import from_huggingface
from headstart.features.folding import fold_batchnorms
from headstart.pooling import generalised_mean
from headstart.stages import find_stages
from project.backbones.bundled import efficientnet_lite
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision

IMAGES = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def features(backbone: Backbone) -> Tensor:
    side = backbone.preprocessing.crop
    found = backbone.network(nn.functional.interpolate(IMAGES, (side, side)))
    assert found.shape == (2, backbone.num_features)
    return found


def same(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def huggingface(folder: Path) -> Callable[[str | None], Backbone]:
    return lambda pooling: from_huggingface(str(folder), pooling=pooling)


def timm_vit(pooling: str | None) -> Backbone:
    return from_timm("test_vit", None, pooling=pooling)


def small_torchvision_vit(pooling: str | None, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    from torchvision.models import vision_transformer

    build = vision_transformer._vision_transformer
    tiny: dict[str, Any] = {"num_layers": 3, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 16}
    monkeypatch.setattr(vision_transformer, "_vision_transformer", lambda **given: build(**given | tiny))
    return from_torchvision("vit_b_32", None, pooling=pooling)


@pytest.mark.parametrize("library", ["timm", "torchvision", "huggingface"])
def test_transformers(library: str, huggingface_vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = {
        "timm": timm_vit,
        "torchvision": lambda pooling: small_torchvision_vit(pooling, monkeypatch),
        "huggingface": huggingface(huggingface_vit),
    }[library]
    own, cls, average = (features(build(pooling)) for pooling in (None, "cls", "avg"))
    same(cls, own)  # the class token is what these networks give themselves
    assert not torch.allclose(cls, average)
    same(features(build("avg+cls")), torch.cat([average, cls], dim=1))
    three = features(build("blocks:3"))
    assert three.shape == (2, 4 * own.shape[1])
    first, second, third, last = three.chunk(4, dim=1)
    same(torch.cat([third, last], dim=1), torch.cat([cls, average], dim=1))
    assert not torch.allclose(first, second)
    assert (features(build("gem")) > 0).all()


@torch.no_grad()
def test_blocks_are_normed_as_the_last_is(huggingface_vit: Path) -> None:
    backbone = huggingface(huggingface_vit)("blocks:2")
    network = backbone.network.network
    images = nn.functional.interpolate(IMAGES, (32, 32))
    states = network(pixel_values=images, output_hidden_states=True).hidden_states  # type: ignore[operator]
    wanted = network.layernorm(states[-2])[:, 0]  # type: ignore[operator]
    same(backbone.network(images)[:, :16], wanted)


@pytest.mark.parametrize(
    "build",
    [
        lambda pooling: from_timm("test_resnet", None, pooling=pooling),
        lambda pooling: from_timm("test_convnext", None, pooling=pooling),  # has a norm after its pooling
        lambda pooling: from_timm("test_mambaout", None, pooling=pooling),  # channels last
        lambda pooling: from_torchvision("mobilenet_v3_small", None, pooling=pooling),
        lambda pooling: efficientnet_lite(0, None, pooling=pooling),
    ],
    ids=["resnet", "convnext", "channels_last", "torchvision", "lite"],
)
def test_convolutional_networks(build: Callable[[str | None], Backbone]) -> None:
    own = features(build(None))
    same(features(build("avg")), own)
    assert not torch.allclose(features(build("gem")), own)
    for pooling in ("cls", "blocks:4", "avg+cls"):
        with pytest.raises(ValueError, match=r"\Abackbone.pooling=.*no class token; take avg[^\n]*\Z"):
            build(pooling)


def test_generalised_mean_is_the_root_of_the_mean_of_cubes() -> None:
    patches = torch.tensor([[[1.0, -5.0], [2.0, 4.0]]])
    same(generalised_mean(patches), torch.tensor([[4.5 ** (1 / 3), 32.0 ** (1 / 3)]]))
    same(generalised_mean(torch.full((1, 4, 1), 1000.0).half()), torch.tensor([[1000.0]]))  # its cube is no half


@pytest.mark.parametrize("pooling", ["max", "blocks:0", "blocks:", "blocks:two", "cls+avg"])
def test_unknown_poolings_are_answered_with_what_there_is(pooling: str) -> None:
    with pytest.raises(ValueError, match=r"avg, cls, avg\+cls, gem, blocks:N"):
        timm_vit(pooling)


@pytest.mark.parametrize(
    ("name", "reason"), [("densenet121", "try timm's"), ("vgg11", "try timm's"), ("swin_t", "no class token")]
)
def test_torchvision_networks_that_can_not(name: str, reason: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=reason):
        from_torchvision(name, None, pooling="cls")


def test_more_blocks_than_there_are() -> None:
    with pytest.raises(ValueError, match="blocks:40: the network has"):
        timm_vit("blocks:40")


def test_pooling_is_part_of_the_recipe() -> None:
    backbone = timm_vit("blocks:2")
    again = instantiate(json.loads(json.dumps(backbone.spec)))
    assert (again.spec, again.num_features) == (backbone.spec, backbone.num_features)
    assert again.digest == backbone.digest


def test_stages_and_folding_see_through_it() -> None:
    backbone = from_timm("test_resnet", None, pooling="gem")
    plain = find_stages(from_timm("test_resnet", None).network)
    assert [stage.name for stage in find_stages(backbone.network)] == [stage.name for stage in plain]
    folded = fold_batchnorms(backbone.network, IMAGES)
    assert folded is not backbone.network
    with torch.no_grad():
        same(folded(IMAGES), backbone.network(IMAGES))
