"""Poolings other than the network's own, checked against the network's parts."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from headstart.features.fast_network import fold_batchnorms
from headstart.pooling import (
    Pooled,
    ReadTokens,
    check_pooling,
    count_features,
    generalised_mean,
    read_timm,
    read_torchvision_vit,
)
from headstart.stages import find_stages

IMAGES = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))


def timm_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=0).eval()


def vit_with_registers() -> nn.Module:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": 160, "patch_size": 32, "embed_dim": 16, "depth": 3, "num_heads": 2}
    return timm.models.VisionTransformer(**sizes, reg_tokens=4, num_classes=0).eval()


def torchvision_vit() -> nn.Module:
    torch.manual_seed(0)
    network = VisionTransformer(160, patch_size=32, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=16)
    network.heads = nn.Sequential()
    return network.eval()


def same(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "read"),
    [
        (lambda: timm_network("test_vit"), read_timm),
        (vit_with_registers, read_timm),
        (torchvision_vit, read_torchvision_vit),
    ],
    ids=["timm", "registers", "torchvision"],
)
@torch.no_grad()
def test_transformers(network: Callable[[], nn.Module], read: ReadTokens) -> None:
    vit: Any = network()

    def features(pooling: str) -> Tensor:
        pooled = Pooled(vit, read, pooling)
        found = pooled(IMAGES)
        assert found.shape == (2, count_features(pooled, 160))
        return found

    cls, average = features("cls"), features("avg")
    same(cls, vit(IMAGES))
    if read is read_timm:  # pools by the average, too, where it is told so
        vit.reset_classifier(0, "avg")
        same(average, vit(IMAGES))
    assert not torch.allclose(cls, average)
    same(features("avg+cls"), torch.cat([average, cls], dim=1))
    first, second, third, last = features("blocks:3").chunk(4, dim=1)
    same(torch.cat([third, last], dim=1), torch.cat([cls, average], dim=1))
    assert not torch.allclose(first, second)
    assert (features("gem") > 0).all()


@pytest.mark.parametrize(
    "name",
    ["test_resnet", "test_convnext", "test_mambaout"],  # ConvNeXt has a norm after its pooling, MambaOut channels last
)
@torch.no_grad()
def test_convolutional_networks(name: str) -> None:
    network = timm_network(name)
    own = network(IMAGES)
    same(Pooled(network, read_timm, "avg")(IMAGES), own)
    assert not torch.allclose(Pooled(network, read_timm, "gem")(IMAGES), own)
    for pooling in ("cls", "blocks:4", "avg+cls"):
        with pytest.raises(ValueError, match=r"\Abackbone.pooling=.*no class token; take avg[^\n]*\Z"):
            Pooled(network, read_timm, pooling)(IMAGES)


@pytest.mark.parametrize(
    ("name", "pooling", "reason"),
    [
        ("test_vit", "blocks:40", "blocks:40: VisionTransformer has 6 block"),
        ("cait_xxs24_224", "blocks:2", "blocks:2: Cait has 1 block"),  # it comes in at the end
        ("coat_lite_mini", "avg", "CoaT mixes its tokens"),  # one class token for each scale
    ],
)
def test_class_tokens_that_are_not_there(name: str, pooling: str, reason: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=reason):
        count_features(Pooled(timm.create_model(name), read_timm, pooling), 160 if name == "test_vit" else 224)


@torch.no_grad()
def test_the_average_of_a_transformer_without_a_class_token_goes_through_its_head() -> None:
    hiera = timm.create_model("hiera_tiny_224", num_classes=0, img_size=(64, 64), stages=(1, 1, 1, 1)).eval()
    images = IMAGES[..., :64, :64]
    same(Pooled(hiera, read_timm, "avg")(images), hiera(images))


def test_generalised_mean_is_the_root_of_the_mean_of_cubes() -> None:
    patches = torch.tensor([[[1.0, -5.0], [2.0, 4.0]]])
    same(generalised_mean(patches), torch.tensor([[4.5 ** (1 / 3), 32.0 ** (1 / 3)]]))
    same(generalised_mean(torch.full((1, 4, 1), 1000.0).half()), torch.tensor([[1000.0]]))  # its cube is no half


@pytest.mark.parametrize("pooling", ["max", "blocks:0", "blocks:", "blocks:two", "cls+avg"])
def test_unknown_poolings_are_answered_with_what_there_is(pooling: str) -> None:
    with pytest.raises(ValueError, match=r"avg, cls, avg\+cls, gem or blocks:N"):
        check_pooling(pooling)


def test_stages_and_folding_see_through_it() -> None:
    network = timm_network("test_resnet")
    pooled = Pooled(network, read_timm, "gem")
    assert [stage.name for stage in find_stages(pooled)] == [stage.name for stage in find_stages(network)]
    folded = fold_batchnorms(pooled, IMAGES)
    assert folded is not pooled
    with torch.no_grad():
        same(folded(IMAGES), pooled(IMAGES))
