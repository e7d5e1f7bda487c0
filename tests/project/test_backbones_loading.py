"""Weights are read as tensors only, and building a backbone leaves no trace."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torchvision import models

from headstart.backbone import Backbone
from headstart.loading import isolated
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision


class Code:
    """Pickled, it makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, (str(self.path),)


def torchvision_url() -> str:
    return models.ResNet18_Weights.DEFAULT.url


def timm_url() -> str:
    return str(timm.models.get_pretrained_cfg_value("legacy_seresnext26_32x4d", "url"))


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize(
    ("build", "url"),
    [
        (lambda: from_torchvision("resnet18"), torchvision_url()),
        (lambda: from_timm("legacy_seresnext26_32x4d"), timm_url()),  # not on the Hub, hence a pickle
    ],
    ids=["torchvision", "timm"],
)
def test_code_in_weights_does_not_run(
    build: Callable[[], Backbone], url: str, new_format: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save({"x": Code(tmp_path / "ran")}, file, _use_new_zipfile_serialization=new_format)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        build()
    assert str(file) in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_tensors_only_even_where_a_caller_asks_for_more(tmp_path: Path) -> None:
    torch.save({"x": Code(tmp_path / "ran")}, tmp_path / "weights.pth")
    with isolated(seed=0), pytest.raises(Exception, match="Weights only load failed"):
        torch.load(tmp_path / "weights.pth", weights_only=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
@pytest.mark.parametrize("value", [None, "0", "1"])
def test_environment_and_random_state_are_left_as_they_were(
    name: str, value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({}, tmp_path / "empty.pth")
    monkeypatch.delenv(name, raising=False)
    if value:
        monkeypatch.setenv(name, value)
    environment, random_state = dict(os.environ), torch.get_rng_state()
    with contextlib.suppress(KeyError), isolated(seed=0):
        torch.load(tmp_path / "empty.pth")
        torch.rand(1)
        raise KeyError  # as weights that do not fit would
    assert dict(os.environ) == environment
    assert torch.equal(torch.get_rng_state(), random_state)
