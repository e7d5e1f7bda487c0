"""Weights of one's own: found under any prefix, and strict about what a backbone needs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from headstart.backbone import Backbone
from headstart.extras.huggingface.backbone import from_huggingface
from project.backbones.bundled import efficientnet_lite
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision

State = dict[str, Tensor]


def resnet18(weights: Path) -> Backbone:
    return from_torchvision("resnet18", str(weights))


@pytest.fixture(scope="module")
def state() -> State:
    return models.resnet18(weights=None, num_classes=3).state_dict()


def assert_loaded(backbone: Backbone, state: State) -> None:
    for name, value in backbone.network.state_dict().items():
        assert torch.equal(value, state[name]), name


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
    backbone = resnet18(tmp_path / name)
    assert_loaded(backbone, state)
    assert backbone.spec["weights"] == str(tmp_path / name)
    assert backbone.preprocessing == from_torchvision("resnet18", None).preprocessing


def test_what_does_not_fit_is_named(state: State, tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    wrong = state | {"conv1.weight": torch.ones(64, 1, 7, 7), "layer4.2.conv1.weight": torch.ones(1)}
    torch.save({name: value for name, value in wrong.items() if not name.startswith("layer1.0")}, file)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        resnet18(file)
    for part in (
        str(file),
        "10 missing (layer1.0.conv1.weight, layer1.0.bn1.weight, layer1.0.bn1.bias, ...)",
        "1 of another shape (conv1.weight [64, 1, 7, 7] instead of [64, 3, 7, 7])",
        "1 unexpected (layer4.2.conv1.weight)",
    ):
        assert part in str(error.value)


def test_a_larger_network_does_not_pass_for_a_smaller_one(tmp_path: Path) -> None:
    torch.save(models.resnet34(weights=None).state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(ValueError, match="unexpected"):
        resnet18(tmp_path / "resnet34.pth")


@pytest.mark.parametrize("content", [None, b"", b"<html>not found</html>", [1], {"epoch": 3}, {"x": re.compile("x")}])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_what_holds_no_weights_is_named_in_one_line(content: Any, name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        resnet18(file)
    assert str(file) in str(error.value)


def test_a_classifier_that_is_not_ours_is_left_out_wherever_it_is(tmp_path: Path) -> None:
    squeezenet = models.squeezenet1_1(num_classes=7).state_dict()  # its classifier.1 is a convolution
    torch.save(squeezenet, tmp_path / "squeezenet.pt")
    assert_loaded(from_torchvision("squeezenet1_1", str(tmp_path / "squeezenet.pt")), squeezenet)


def test_other_libraries(huggingface_vit: Path, tmp_path: Path) -> None:
    builders: list[tuple[Callable[..., Backbone], Any, str]] = [
        (from_timm, "test_vit", ""),
        (efficientnet_lite, 0, ""),
        (from_huggingface, str(huggingface_vit), "network."),
    ]
    for build, which, inner in builders:
        donor = build(which, weights=None, seed=7)
        file = tmp_path / "donor.pt"
        torch.save({n.removeprefix(inner): v for n, v in donor.network.state_dict().items()}, file)
        assert build(which, weights=str(file)).digest == donor.digest
        assert build(which, weights=None).digest != donor.digest


def test_the_recipe_names_the_file_and_the_digest_notices_another(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "mine.pth")
    backbone = resnet18(tmp_path / "mine.pth")
    assert instantiate(backbone.spec).digest == backbone.digest
    state = state | {"bn1.bias": torch.full((64,), 3.0)}
    torch.save(state, tmp_path / "mine.pth")
    assert instantiate(backbone.spec).digest != backbone.digest
