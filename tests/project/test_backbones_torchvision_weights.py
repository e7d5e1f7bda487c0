"""torchvision's weights: found where torch.hub keeps them, and what is said of damaged or missing ones."""

import re
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torchvision import models

from headstart.backbone import Backbone
from project.backbones.torchvision import from_torchvision


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


def weights_file(cache: Path, name: str) -> Path:
    return cache / models.get_model_weights(name)["DEFAULT"].url.rpartition("/")[2]


def put_weights(cache: Path, name: str, **options: Any) -> dict[str, torch.Tensor]:
    network = models.get_model(name, weights=None, **options)
    torch.save(network.state_dict(), weights_file(cache, name))
    return network.state_dict()


def assert_holds(backbone: Backbone, weights: dict[str, torch.Tensor], dropped: tuple[str, ...]) -> None:
    loaded = backbone.network.state_dict()
    assert set(loaded) == {key for key in weights if not key.startswith(dropped)}
    assert all(torch.equal(value, weights[key]) for key, value in loaded.items())


@pytest.mark.parametrize(
    ("name", "dropped", "options"),
    [
        ("resnet18", ("fc.",), {}),
        ("googlenet", ("fc.", "aux"), {"init_weights": False}),
        ("inception_v3", ("fc.", "AuxLogits."), {"init_weights": False}),
    ],
)
def test_downloaded_weights_are_loaded(cache: Path, name: str, dropped: tuple[str, ...], options: dict) -> None:
    weights = put_weights(cache, name, **options)
    backbone = from_torchvision(name)
    assert_holds(backbone, weights, dropped)
    assert backbone.spec["weights"] == "IMAGENET1K_V1"


def test_pretrained_and_random_networks_are_the_same(cache: Path) -> None:
    put_weights(cache, "googlenet", init_weights=False)
    pretrained, random = from_torchvision("googlenet").network, from_torchvision("googlenet", None).network
    assert list(pretrained.state_dict()) == list(random.state_dict())
    assert pretrained.transform_input == random.transform_input


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
    put_weights(cache, "resnet18")
    file = weights_file(cache, "resnet18")
    if damage == "list":
        torch.save([torch.zeros(1)], file)
    elif damage == "other":
        torch.save({"x": torch.zeros(1)}, file)
    else:
        whole = file.read_bytes()
        file.write_bytes({"empty": b"", "text": b"<html>not found</html>", "half": whole[: len(whole) // 2]}[damage])
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        from_torchvision("resnet18")
    assert str(file) in str(error.value)


def test_offline_says_what_to_do_in_one_line(cache: Path) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        from_torchvision("resnet50")
    for hint in ("resnet50-11ad3fa6.pth", str(cache), "backbone=efficientnet_lite0", "no network"):
        assert hint in str(error.value)
    assert not list(cache.iterdir())


def test_preprocessing_follows_the_weights(cache: Path) -> None:
    file = cache / "resnet50-0676ba61.pth"
    torch.save(models.get_model("resnet50", weights=None).state_dict(), file)
    assert from_torchvision("resnet50", "IMAGENET1K_V1").preprocessing.resize == 256
