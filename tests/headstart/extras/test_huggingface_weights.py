"""Weights files for models of Hugging Face's transformers: in all forms, and under the names in its files."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from weight_forms import LOADED, REFUSED, State, check_loaded, check_refused, under

from headstart.extras.huggingface.backbone import from_huggingface


@pytest.fixture(scope="module")
def states(huggingface_vit: Path) -> tuple[State, State]:
    """With the names of the network, and without values that all networks share."""
    torch.manual_seed(0)
    state = transformers.ViTModel.from_pretrained(huggingface_vit, add_pooling_layer=False).state_dict()
    return {n: torch.rand_like(v) for n, v in state.items()}, {n: torch.rand_like(v) for n, v in state.items()}


def load(folder: Path, path: str, key: str | None) -> nn.Module:
    network: Any = from_huggingface(str(folder), path, weights_key=key).network
    return network.network


@pytest.mark.parametrize("form", LOADED)
def test_a_form_is_loaded_bit_for_bit(
    form: str, huggingface_vit: Path, states: tuple[State, State], tmp_path: Path
) -> None:
    check_loaded(form, *states, lambda path, key: load(huggingface_vit, path, key), tmp_path)


@pytest.mark.parametrize("form", REFUSED)
def test_a_form_is_refused_in_a_line(
    form: str, huggingface_vit: Path, states: tuple[State, State], tmp_path: Path
) -> None:
    check_refused(form, *states, lambda path, key: load(huggingface_vit, path, key), tmp_path)


@pytest.mark.parametrize("kind", ["ViTModel", "ViTForImageClassification"])
def test_a_folder_as_transformers_saves_it_by_its_name_and_by_its_file(
    kind: str, huggingface_vit: Path, tmp_path: Path
) -> None:
    """Version 5 has other names in memory than in the file."""
    config = transformers.AutoConfig.from_pretrained(huggingface_vit)
    network = getattr(transformers, kind)(config)
    transformers.AutoImageProcessor.from_pretrained(huggingface_vit).save_pretrained(tmp_path)
    network.save_pretrained(tmp_path)
    donor = getattr(network, "vit", network).state_dict()
    file = tmp_path / "model.safetensors"
    assert any("attention.attention.query" in name for name in load_file(file))
    trained = tmp_path / "trained.ckpt"
    torch.save({"state_dict": under("model.backbone.", load_file(file))}, trained)
    for weights in ("pretrained", str(file), str(trained)):
        found = load(tmp_path, weights, None).state_dict()
        assert found
        assert all(torch.equal(value, donor[name]) for name, value in found.items())
    save_file({n: v for n, v in load_file(file).items() if "layer.1.attention.attention.key" not in n}, file)
    with pytest.raises(ValueError, match=r"\A[^\n]*does not fit[^\n]*missing[^\n]*\Z"):
        load(tmp_path, str(file), None)


def test_nan_in_a_folder_is_said(huggingface_vit: Path, tmp_path: Path) -> None:
    network: Any = transformers.ViTModel.from_pretrained(huggingface_vit)
    network.layernorm.bias.data[3] = torch.nan
    network.save_pretrained(tmp_path)
    transformers.AutoImageProcessor.from_pretrained(huggingface_vit).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"\A{tmp_path} holds NaN or infinity in 1 [^\n]*layernorm.bias[^\n]*\Z"):
        from_huggingface(str(tmp_path))
