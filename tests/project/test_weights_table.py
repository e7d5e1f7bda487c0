"""Weights files of one's own, in all forms: loaded bit for bit, or refused in a line; never half, never another copy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings
from weight_forms import LOADED, REFUSED, State, check_loaded, check_refused

from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision

MODULE = "torchvision.models"


def mobilenet(**options: Any) -> nn.Module:
    return models.MobileNetV2(width_mult=0.1, num_classes=7)


def vit(image_size: int = 224) -> nn.Module:
    return models.VisionTransformer(image_size, 32, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=7)


DONORS: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v2": mobilenet,
    "vit_b_16": vit,
    **{name: lambda name=name: timm.create_model(name, num_classes=7) for name in ("test_resnet", "test_vit")},
}


@pytest.fixture(scope="module")
def states() -> dict[str, tuple[State, State]]:
    torch.manual_seed(0)
    made = {name: (make().state_dict(), make().state_dict()) for name, make in DONORS.items()}
    return {name: tuple(map(distinct, pair)) for name, pair in made.items()}  # pyright: ignore[reportReturnType]


def distinct(state: State) -> State:
    """Without entries that are equal in all networks, such as zeros."""
    return {name: torch.rand_like(value) if value.is_floating_point() else value for name, value in state.items()}


@pytest.fixture(params=DONORS)
def donor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a network that takes a few milliseconds to make."""
    monkeypatch.setattr(f"{MODULE}.get_model", lambda name, **options: DONORS[name](**options))
    return request.param


def load(name: str, path: str | None, key: str | None = None, **options: Any) -> nn.Module:
    make: Callable[..., Any] = from_timm if name.startswith("test_") else from_torchvision
    return make(name, path, weights_key=key, **options).network


@pytest.mark.parametrize("form", LOADED)
def test_a_form_is_loaded_bit_for_bit(
    form: str, donor: str, states: dict[str, tuple[State, State]], tmp_path: Path
) -> None:
    check_loaded(form, *states[donor], lambda path, key: load(donor, path, key), tmp_path)


@pytest.mark.parametrize("form", REFUSED)
def test_a_form_is_refused_in_a_line(
    form: str, donor: str, states: dict[str, tuple[State, State]], tmp_path: Path
) -> None:
    check_refused(form, *states[donor], lambda path, key: load(donor, path, key), tmp_path)
