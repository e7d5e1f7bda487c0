"""torchvision's models: their features and preprocessing; their weights, found, damaged or missing; wrong names."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torchvision import models
from torchvision.models import regnet

from headstart.backbone import Backbone
from project.backbones.torchvision import from_torchvision

NAMES = models.list_models(module=models)
SMALL = "mobilenet_v3_small"


def size(name: str) -> int:
    return models.get_model_weights(name)["DEFAULT"].meta["num_params"]


FAMILIES = {models.get_model_builder(name).__module__: name for name in sorted(NAMES, key=size, reverse=True)}


@pytest.fixture
def regnet_on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """RegNet computes its widths with tensors, which must not be on the meta device where the rest is."""
    original: Callable[..., Any] = regnet.BlockParams.from_init_params.__func__

    def on_cpu(*args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):
            return original(*args, **kwargs)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", classmethod(on_cpu))


def test_all_families_are_there() -> None:
    assert len(NAMES) >= 80
    assert len(FAMILIES) >= 16


@pytest.mark.usefixtures("regnet_on_meta")
@pytest.mark.parametrize("name", sorted(FAMILIES.values()))  # the smallest of each
def test_features(name: str) -> None:
    with torch.device("meta"):
        backbone = from_torchvision(name, weights=None)
    side = backbone.preprocessing.crop
    features = backbone.network(torch.empty(2, 3, side, side, device="meta"))
    assert features.shape == (2, backbone.num_features)
    assert backbone.num_features != 1000
    assert not any("aux" in key.lower() for key in backbone.network.state_dict())


@torch.no_grad()
def test_the_average_is_a_cnns_own_pooling_and_the_class_token_a_transformers() -> None:
    with torch.device("meta"):
        assert from_torchvision("vit_b_32", None, pooling="blocks:2").num_features == 3 * 768
    images = torch.rand(2, 3, 64, 64)
    own, average = (from_torchvision(SMALL, None, pooling).network(images) for pooling in (None, "avg"))
    torch.testing.assert_close(own, average)


@pytest.mark.parametrize(
    ("name", "reason"), [("densenet121", "try timm's"), ("vgg11", "try timm's"), ("swin_t", "no class token")]
)
def test_poolings_that_a_network_can_not_have(name: str, reason: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=reason):
        from_torchvision(name, None, pooling="cls")


def test_unknown_name_is_answered_with_a_similar_one() -> None:
    with pytest.raises(ValueError, match=r"'resnet52'; did you mean resnet152\? "):
        from_torchvision("resnet52")


@pytest.mark.parametrize(("name", "weights"), [("resnet50", "IMAGENET1K_V3"), ("vgg16", "IMAGENET1K_FEATURES")])
def test_unknown_weights_are_answered_with_those_there_are(name: str, weights: str) -> None:
    with pytest.raises(ValueError, match=f"{weights}.*it has: IMAGENET1K_V1"):
        from_torchvision(name, weights)


@pytest.mark.parametrize(
    ("name", "resize", "crop", "interpolation", "mean"),
    [
        ("resnet50", 232, 224, "bilinear", 0.485),
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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where torch.hub keeps its downloads, and no network."""

    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def weights_file(cache: Path, name: str, weights: str = "DEFAULT") -> Path:
    return cache / models.get_model_weights(name)[weights].url.rpartition("/")[2]


def put_weights(cache: Path, name: str, weights: str = "DEFAULT", **options: Any) -> dict[str, torch.Tensor]:
    state = models.get_model(name, weights=None, **options).state_dict()
    torch.save(state, weights_file(cache, name, weights))
    return state


def assert_holds(backbone: Backbone, weights: dict[str, torch.Tensor], dropped: tuple[str, ...]) -> None:
    loaded = backbone.network.state_dict()
    assert set(loaded) == {key for key in weights if not key.startswith(dropped)}
    assert all(torch.equal(value, weights[key]) for key, value in loaded.items())


def test_downloaded_weights_are_loaded_into_the_same_network_as_random_ones(cache: Path) -> None:
    weights = put_weights(cache, "googlenet", init_weights=False)  # has auxiliary classifiers
    backbone, random = from_torchvision("googlenet"), from_torchvision("googlenet", None)
    assert_holds(backbone, weights, ("fc.", "aux"))
    assert backbone.spec["weights"] == "IMAGENET1K_V1"
    assert list(backbone.network.state_dict()) == list(random.network.state_dict())
    assert backbone.network.transform_input == random.network.transform_input


def test_old_names_in_densenet_weights(cache: Path) -> None:
    weights = put_weights(cache, "densenet121")
    pattern = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))([12])")
    # The published files are that old: no count of batches yet, and torch's former file format.
    old = {pattern.sub(r"\1.\2", key): value for key, value in weights.items() if "num_batches" not in key}
    assert not set(old) <= set(weights)
    torch.save(old, weights_file(cache, "densenet121"), _use_new_zipfile_serialization=False)
    assert_holds(from_torchvision("densenet121"), weights, ("classifier.",))


@pytest.mark.parametrize("damage", ["empty", "text", "half", "list", "other"])
def test_damaged_weights_are_named_in_one_line(cache: Path, damage: str) -> None:
    file = weights_file(cache, SMALL)
    if damage == "list":
        torch.save([torch.zeros(1)], file)
    elif damage == "other":
        torch.save({"x": torch.zeros(1)}, file)
    else:
        put_weights(cache, SMALL)
        whole = file.read_bytes()
        file.write_bytes({"empty": b"", "text": b"<html>not found</html>", "half": whole[: len(whole) // 2]}[damage])
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        from_torchvision(SMALL)
    assert str(file) in str(error.value)


def test_offline_says_what_to_do_in_one_line(cache: Path) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        from_torchvision(SMALL)
    for hint in (weights_file(cache, SMALL).name, str(cache), "backbone=efficientnet_lite0", "no network"):
        assert hint in str(error.value)
    assert not list(cache.iterdir())


def test_preprocessing_follows_the_weights(cache: Path) -> None:
    put_weights(cache, "mobilenet_v3_large", "IMAGENET1K_V1")
    assert from_torchvision("mobilenet_v3_large", "IMAGENET1K_V1").preprocessing.resize == 256
    with torch.device("meta"):
        assert from_torchvision("mobilenet_v3_large", None).preprocessing.resize == 232
