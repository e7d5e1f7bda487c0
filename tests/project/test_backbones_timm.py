"""timm's models: the width of their features, preprocessing, and what a wrong name is told."""

import pytest
import torch

from project.backbones.timm import from_timm


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("resnet18", 512),
        ("mobilenetv3_large_100", 1280),  # its num_features are 960: a layer follows the pooling
        ("vit_base_patch16_224", 768),
        ("convnext_tiny", 768),
        ("vit_small_patch14_dinov2", 384),
        ("deit_tiny_distilled_patch16_224", 192),
        ("vgg11", 4096),
        ("vit_base_patch16_clip_224", 768),
    ],
)
def test_features(name: str, width: int) -> None:
    with torch.device("meta"):
        backbone = from_timm(name, weights=None)
    side = backbone.preprocessing.crop
    features = backbone.network(torch.empty(2, 3, side, side, device="meta"))
    assert features.shape == (2, width)
    assert backbone.num_features == width


@pytest.mark.parametrize(
    ("name", "resize", "crop", "interpolation", "mean"),
    [
        ("resnet50.a1_in1k", 235, 224, "bicubic", 0.485),
        ("resnet50.tv_in1k", 256, 224, "bilinear", 0.485),
        ("vit_small_patch14_dinov2", 518, 518, "bicubic", 0.485),
        ("tf_efficientnet_b1.ns_jft_in1k", 272, 240, "bicubic", 0.485),
        ("vit_base_patch16_224.augreg_in21k", 248, 224, "bicubic", 0.5),
        ("convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384", (384, 384), 384, "bicubic", 0.48145466),
    ],
)
def test_preprocessing(name: str, resize: int | tuple[int, int], crop: int, interpolation: str, mean: float) -> None:
    with torch.device("meta"):
        preprocessing = from_timm(name, weights=None).preprocessing
    assert (preprocessing.resize, preprocessing.crop) == (resize, crop)
    assert (preprocessing.interpolation, preprocessing.mean[0]) == (interpolation, mean)


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "resnet18"])
def test_image_size(name: str) -> None:
    with torch.device("meta"):
        backbone = from_timm(name, weights=None, image_size=112)
    assert backbone.preprocessing.crop == 112
    assert backbone.network(torch.empty(1, 3, 112, 112, device="meta")).shape == (1, backbone.num_features)


def test_encoders_without_features_are_refused() -> None:
    with torch.device("meta"), pytest.raises(ValueError, match="one vector of features"):
        from_timm("gemma4_vit_167m_enc", weights=None)


def test_padded_images_are_refused() -> None:
    with pytest.raises(ValueError, match="'border'"):
        from_timm("deepseek_vit_412m", weights=None)


@pytest.mark.parametrize("weights", ["pretrained", None])
@pytest.mark.parametrize(("name", "similar"), [("resnet52", "resnet152"), ("resnet50.a1_in1", r"resnet50\.a1_in1k")])
def test_unknown_name_is_answered_with_similar_ones(name: str, similar: str, weights: str | None) -> None:
    with pytest.raises(ValueError, match=f"{name!r}; did you mean one of: .*{similar}"):
        from_timm(name, weights)


def test_unknown_weights() -> None:
    with pytest.raises(ValueError, match="'a1_in1k'"):
        from_timm("resnet50", "a1_in1k")
