"""The stages of real networks of three libraries: each parameter in one, and under the library's own names."""

import re

import pytest
import timm
import torch
import transformers
from torch import nn

from headstart.stages import Stage, find_stages, stages_to_train
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision

STAGES = {  # as "stem, blocks | what follows"
    "torchvision resnet18": "stem, layer1, layer2, layer3, layer4",
    "torchvision mobilenet_v3_small": "stem, features.1-11 | features.12",
    "torchvision efficientnet_b0": "stem, features.1-7 | features.8",
    "torchvision convnext_tiny": "stem, features.1, features.3, features.5, features.7",
    "torchvision swin_t": "stem, features.1, features.3, features.5, features.7",
    "torchvision densenet121": "stem, " + ", ".join(f"features.denseblock{i}" for i in (1, 2, 3, 4)),
    "torchvision vit_b_16": "stem, " + ", ".join(f"encoder.layers.encoder_layer_{i}" for i in range(12)),
    "torchvision vgg11_bn": "features.0, features.4, features.8, features.11, features.15, features.18, features.22, "
    "features.25 | classifier",
    "timm resnet50d": "stem, layer1, layer2, layer3, layer4",
    "timm tf_efficientnet_lite0": "stem, blocks.0-6 | conv_head",
    "timm vit_tiny_patch16_224": "stem, blocks.0-11",
    "timm convnext_atto": "stem, stages.0-3",
    "timm swin_tiny_patch4_window7_224": "stem, layers.0-3",
    "timm regnety_002": "stem, s1, s2, s3, s4",
    "timm cait_xxs24_224": "stem, blocks.0-23 | blocks_token_only",
    "transformers ViT": "stem, layers.0-11 | pooler",
    "transformers Dinov2": "stem, encoder.layer.0-11",
    "transformers ConvNext": "stem, encoder.stages.0-3",
    "transformers Swin": "stem, encoder.layers.0-3",
    "transformers ResNet": "stem, encoder.stages.0-3",
}


def build(description: str) -> nn.Module:
    library, name = description.split()
    with torch.device("meta"):
        if library == "transformers":
            return transformers.AutoModel.from_config(getattr(transformers, f"{name}Config")())
        return (from_torchvision if library == "torchvision" else from_timm)(name, weights=None).network


def expected(text: str) -> list[str]:
    """Names, with `layers.0-3` for four of them."""
    names = []
    for name in re.split(r", | \| ", text):
        span = re.fullmatch(r"(.*?)(\d+)-(\d+)", name)
        names += [f"{span[1]}{i}" for i in range(int(span[2]), int(span[3]) + 1)] if span else [name]
    return names


def assert_partition(network: nn.Module, stages: tuple[Stage, ...]) -> None:
    parameters = [name for stage in stages for name in stage.parameters]
    modules = [name for stage in stages for name in stage.modules]
    assert sorted(parameters) == sorted(name for name, _ in network.named_parameters())
    assert len(set(modules)) == len(modules)
    containers = {name for name, _ in network.named_modules()} - set(modules)
    for container in containers:  # of several stages each: the network, or a list of its blocks
        inside = [stage for stage in stages if any(f".{name}".startswith(f".{container}") for name in stage.modules)]
        assert len(inside) > 1, container


@pytest.mark.parametrize("description", STAGES)
def test_stages(description: str) -> None:
    network = build(description)
    stages = find_stages(network)
    assert [stage.name for stage in stages] == expected(STAGES[description])
    assert all(stage.parameters for stage in stages)
    after = STAGES[description].partition(" | ")[2]
    assert [stage.name for stage in stages if not stage.block] == [
        *(["stem"] if stages[0].name == "stem" else []),
        *([after] if after else []),
    ]
    assert_partition(network, stages)


@pytest.mark.parametrize("name", ["coat_lite_tiny", "twins_svt_small", "xcit_nano_12_p16_224", "inception_next_atto"])
def test_unusual_networks_are_divided_without_a_rest(name: str) -> None:
    with torch.device("meta"):
        network = timm.create_model(name, num_classes=0)
    stages = find_stages(network)
    assert len(stages) > 3
    assert_partition(network, stages)


def test_what_a_stage_holds() -> None:
    stages = {stage.name: stage for stage in find_stages(build("torchvision swin_t"))}
    assert {"features.0.0.weight", "features.0.2.bias"} < set(stages["stem"].parameters)
    assert "features.2.reduction.weight" in stages["features.3"].parameters  # downsampled for the blocks that follow
    assert {"norm.weight", "norm.bias"} < set(stages["features.7"].parameters)
    assert {"features.7.0.attn", "norm", "avgpool", "head"} < set(stages["features.7"].modules)
    vit = find_stages(build("torchvision vit_b_16"))
    assert {"class_token", "conv_proj.weight", "encoder.pos_embedding"} <= set(vit[0].parameters)
    resnet = find_stages(build("torchvision resnet18"))
    assert resnet[0].modules == ("conv1", "bn1", "relu", "maxpool")


def test_a_network_without_blocks_is_one_stage() -> None:
    (stage,) = find_stages(nn.Linear(2, 3))
    assert stage == Stage("stem", ("weight", "bias"), (), block=False)


@pytest.fixture(scope="module")
def lite() -> tuple[Stage, ...]:
    return find_stages(build("timm tf_efficientnet_lite0"))


@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        ("all", []),
        ("none", ["stem", *(f"blocks.{i}" for i in range(7)), "conv_head"]),
        ("until:stem", [*(f"blocks.{i}" for i in range(7)), "conv_head"]),
        ("until:blocks.4", ["blocks.5", "blocks.6", "conv_head"]),
        ("until:4", ["blocks.5", "blocks.6", "conv_head"]),
        ("until:conv_head", []),
        (1, ["blocks.6", "conv_head"]),
        (7, [*(f"blocks.{i}" for i in range(7)), "conv_head"]),
    ],
)
def test_stages_to_train(lite: tuple[Stage, ...], freeze: str | int, trained: list[str]) -> None:
    assert [stage.name for stage in stages_to_train(lite, freeze)] == trained


@pytest.mark.parametrize("freeze", ["until:layer3", "until:", "until:blocks", 0, 8, -1, True, "some", "2"])
def test_what_can_not_be_frozen(lite: tuple[Stage, ...], freeze: str | int) -> None:
    with pytest.raises(ValueError, match=r"\Afreeze=.*stem, blocks.0, .*blocks.6, conv_head[^\n]*\Z"):
        stages_to_train(lite, freeze)
