"""timm's weights: found on disk without asking the Hub, and what is said of damaged or missing ones."""

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


@pytest.fixture(autouse=True)
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
