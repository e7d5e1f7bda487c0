"""Weights are read as tensors only and without a trace; those of one's own are found under any prefix, or refused."""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from headstart.weights import isolated, load_weights_file, weights_path

State = dict[str, Tensor]


class Code:
    """Pickled, it makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new_format", [True, False])
def test_tensors_only_even_where_a_caller_asks_for_more(new_format: bool, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"x": Code(tmp_path / "ran")}, file, _use_new_zipfile_serialization=new_format)
    with isolated(seed=0), pytest.raises(Exception, match="Weights only load failed"):
        torch.load(file, weights_only=False)
    with pytest.raises(ValueError, match="can't be read as weights"):
        load_weights_file(nn.Linear(1, 1), file)
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


def test_a_file_is_known_by_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert weights_path("mine.pth", "pretrained") == tmp_path / "mine.pth"
    assert weights_path("~/mine.safetensors") == Path.home() / "mine.safetensors"
    assert [weights_path(weights, "pretrained") for weights in ("pretrained", None)] == [None, None]
    assert weights_path("IMAGENET1K_V1") is None
    with pytest.raises(ValueError, match=r"backbone.weights=mine: choose pretrained, null \(random\), or a file"):
        weights_path("mine", "pretrained")


def resnet() -> nn.Module:
    """With the names of a ResNet-18, and few weights."""
    torch.manual_seed(0)
    network = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3, width_per_group=64)
    network.fc = nn.Sequential()  # pyright: ignore[reportAttributeAccessIssue]
    return network


@pytest.fixture(scope="module")
def state() -> State:
    return models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3).state_dict()


FORMS: dict[str, Callable[[State], Any]] = {
    "plain.pth": lambda state: state,
    "lightning.ckpt": lambda state: {"state_dict": {f"model.{n}": v for n, v in state.items()}, "epoch": 3},
    "ddp.pt": lambda state: {"model": {f"module.backbone.{n}": v for n, v in state.items()}, "args": None},
    "with_others.bin": lambda state: {"decoder.weight": torch.ones(1)} | {f"net.{n}": v for n, v in state.items()},
    "old.pth": lambda state: {n: v for n, v in state.items() if "num_batches" not in n},
    "my_head.pth": lambda state: {n.replace("fc.", "fc.1."): v for n, v in state.items()},
    "some.safetensors": lambda state: state,
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read(name: str, state: State, tmp_path: Path) -> None:
    write = save_file if name.endswith("safetensors") else torch.save
    write(FORMS[name](state), tmp_path / name)
    network = resnet()
    load_weights_file(network, tmp_path / name, ["fc"])
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_what_does_not_fit_is_named(state: State, tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    wrong = state | {"conv1.weight": torch.ones(64, 1, 7, 7), "layer4.2.conv1.weight": torch.ones(1)}
    torch.save({name: value for name, value in wrong.items() if not name.startswith("layer1.0")}, file)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        load_weights_file(resnet(), file, ["fc"])
    for part in (
        str(file),
        "10 missing (layer1.0.conv1.weight, layer1.0.bn1.weight, layer1.0.bn1.bias, ...)",
        "1 of another shape (conv1.weight [64, 1, 7, 7] instead of [64, 3, 7, 7])",
        "1 unexpected (layer4.2.conv1.weight)",  # a larger network does not pass for a smaller one
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"<html>not found</html>", [1], {"epoch": 3}, {"x": re.compile("x")}])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_what_holds_no_weights_is_named_in_one_line(content: Any, name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        load_weights_file(nn.Linear(1, 1), file)
    assert str(file) in str(error.value)


def test_a_classifier_among_other_layers_is_left_out(tmp_path: Path) -> None:
    network = nn.ModuleDict({"classifier": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 7))})
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    network["classifier"].set_submodule("1", nn.Identity())
    load_weights_file(network, tmp_path / "mine.pt", ["classifier.1"])
    with pytest.raises(ValueError, match="2 unexpected"):
        load_weights_file(network, tmp_path / "mine.pt")
