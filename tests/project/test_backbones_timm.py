"""timm's models: their features and preprocessing; their weights, found on disk, damaged or missing; wrong names."""

import time
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from project.backbones.timm import from_timm

NAME = "test_vit.r160_in1k"


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
    with pytest.raises(ValueError, match=f"{name!r}; did you mean {similar}\\? "):
        from_timm(name, weights)


def test_unknown_weights() -> None:
    with pytest.raises(ValueError, match=r"backbone.weights=a1_in1k: choose pretrained, null"):
        from_timm("resnet50", "a1_in1k")


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches, a Hub that does not answer, and the folder for files put by hand."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def in_hub_cache(name: str) -> Path:
    """Where the Hub's cache keeps the weights of timm's model `name`."""
    repository = Path(constants.HF_HUB_CACHE) / f"models--timm--{name}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    link = repository / "snapshots" / ("0" * 40) / "model.safetensors"
    link.parent.mkdir(parents=True)
    (repository / "blobs").mkdir()
    link.symlink_to(repository / "blobs" / "1234")
    return link


def make_weights(name: str, file: Path, **options: Any) -> dict[str, torch.Tensor]:
    weights = timm.create_model(name, **options).state_dict()
    save_file(weights, file.resolve())
    return weights


@pytest.mark.parametrize("place", ["by_hand", "hub_cache"])
def test_weights_on_disk_are_loaded_without_the_hub(place: str, by_hand: Path) -> None:
    file = by_hand / f"{NAME}.safetensors" if place == "by_hand" else in_hub_cache(NAME)
    weights = make_weights(NAME, file)
    backbone = from_timm("test_vit")
    loaded = backbone.network.state_dict()
    assert set(weights) - set(loaded) == {"head.weight", "head.bias"}
    assert all(torch.equal(value, weights[key]) for key, value in loaded.items())
    assert backbone.spec["name"] == NAME


def test_position_embeddings_are_resampled(by_hand: Path) -> None:
    weights = make_weights(NAME, by_hand / f"{NAME}.safetensors")
    loaded = from_timm(NAME, image_size=320).network.state_dict()
    assert loaded["pos_embed"].shape != weights["pos_embed"].shape
    assert torch.equal(loaded["patch_embed.proj.weight"], weights["patch_embed.proj.weight"])


@pytest.mark.parametrize("damage", ["text", "half", "incomplete"])
@pytest.mark.parametrize("place", ["by_hand", "hub_cache"])
def test_damaged_weights_are_named_in_one_line(place: str, damage: str, by_hand: Path) -> None:
    file = by_hand / f"{NAME}.safetensors" if place == "by_hand" else in_hub_cache(NAME)
    weights = make_weights(NAME, file)
    if damage == "incomplete":
        del weights["blocks.0.attn.qkv.weight"]
        save_file(weights, file.resolve())
    else:
        whole = file.read_bytes()
        file.write_bytes(b"<html>not found</html>" if damage == "text" else whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        from_timm(NAME)
    assert str(file.resolve()) in str(error.value)


@pytest.mark.parametrize("offline", [True, False])
def test_offline_says_what_to_do_in_one_line(offline: bool, by_hand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        from_timm("test_vit")
    assert time.monotonic() - start < 10  # the Hub's own retries take 20 seconds and more
    for hint in (f"timm/{NAME}", str(by_hand / f"{NAME}.safetensors"), "backbone=efficientnet_lite0"):
        assert hint in str(error.value)
