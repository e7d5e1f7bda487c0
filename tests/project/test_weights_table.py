"""Weights files of one's own, in all forms: loaded bit for bit, or refused in a line; never half, or the wrong copy."""

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lightning.pytorch import Trainer
from timm.models import load_checkpoint, vision_transformer
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings
from weight_forms import LOADED, REFUSED, State, check_loaded, check_refused, under

from headstart.weights import load_weights_file
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision
from project.model.classifier import Classifier
from project.model.heads import linear
from project.model.strategy import Strategy


def mobilenet() -> nn.Module:
    return models.MobileNetV2(width_mult=0.1, num_classes=7)


def vit(image_size: int = 224) -> nn.Module:
    return models.VisionTransformer(image_size, 32, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=7)


DONORS: dict[str, Callable[..., nn.Module]] = {
    "mobilenet_v2": mobilenet,
    "vit_b_16": vit,
    "test_vit": lambda **options: timm.create_model("test_vit", num_classes=7, **options),
}


@pytest.fixture(scope="module")
def states() -> dict[str, tuple[State, State]]:
    torch.manual_seed(0)
    made = {name: (make().state_dict(), make().state_dict()) for name, make in DONORS.items()}
    return {name: tuple(map(distinct, pair)) for name, pair in made.items()}  # pyright: ignore[reportReturnType]


def distinct(state: State) -> State:
    """Without entries that are equal in all networks, such as zeros."""
    return {name: torch.rand_like(value) if value.is_floating_point() else value for name, value in state.items()}


@pytest.fixture(params=["mobilenet_v2", "test_vit"])
def donor(request: pytest.FixtureRequest) -> str:
    request.getfixturevalue("small")
    return request.param


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's networks take a few milliseconds to make, as timm's test_* do."""
    monkeypatch.setattr("torchvision.models.get_model", lambda name, **options: DONORS[name](**options))


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


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("side", [64, 160, 384])
def test_position_embeddings_of_another_size_are_resampled_as_their_library_does(
    side: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path, donor = tmp_path / "w.pth", distinct(vit(side).state_dict())
    torch.save({"model": donor}, path)
    found = load("vit_b_16", str(path)).state_dict()
    wanted = interpolate_embeddings(224, 32, OrderedDict(donor))
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())
    assert f"resampled: encoder.pos_embedding [1, {(side // 32) ** 2 + 1}, 8] to [1, 50, 8]" in caplog.text
    donor = distinct(timm.create_model("test_vit", img_size=side).state_dict())
    torch.save({"teacher": under("backbone.", donor)}, path)
    found = load("test_vit", str(path)).state_dict()
    reference: Any = timm.create_model("test_vit", num_classes=0)
    kept = {name: value for name, value in donor.items() if not name.startswith("head.")}
    reference.load_state_dict(vision_transformer.checkpoint_filter_fn(kept, reference))
    assert all(torch.equal(value, reference.state_dict()[name]) for name, value in found.items())


@pytest.mark.parametrize("registers", [0, 4])
def test_an_official_file_of_dinov2_with_its_1370_tokens(registers: int, tmp_path: Path) -> None:
    """https://github.com/facebookresearch/dinov2: names and shapes of dinov2_vits14_pretrain.pth, with one block."""
    tag = "reg4_" if registers else ""
    options: dict[str, Any] = {"depth": 1, "num_classes": 0}
    name = f"vit_small_patch14_{tag}dinov2"
    donor = distinct(timm.create_model("vit_small_patch14_dinov2", **options).state_dict())
    more = {"register_tokens": torch.rand(1, registers, 384)} if registers else {}
    torch.save({**donor, "mask_token": torch.rand(1, 384), **more}, tmp_path / "official.pth")
    reference = timm.create_model(name, img_size=224, **options)
    load_checkpoint(reference, str(tmp_path / "official.pth"), filter_fn=vision_transformer.checkpoint_filter_fn)
    network: Any = timm.create_model(name, img_size=224, **options)
    load_weights_file(
        network, tmp_path / "official.pth", adapt=partial(vision_transformer.checkpoint_filter_fn, model=network)
    )
    assert all(torch.equal(value, reference.state_dict()[key]) for key, value in network.state_dict().items())
    other: Any = timm.create_model(
        name.replace("reg4_", "") if registers else name.replace("dinov2", "reg4_dinov2"), **options
    )
    with pytest.raises(ValueError, match=r"unexpected|missing"):
        load_weights_file(
            other, tmp_path / "official.pth", adapt=partial(vision_transformer.checkpoint_filter_fn, model=other)
        )


def test_patches_of_another_size_are_another_network(tmp_path: Path) -> None:
    donor = timm.create_model("test_vit", patch_size=8, img_size=80).state_dict()
    torch.save(donor, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"1 of another shape \(patch_embed.proj.weight \[64, 3, 8, 8\]"):
        load("test_vit", str(tmp_path / "w.pth"))


@pytest.mark.parametrize("weights", ["https://example.org/w.pth?download=1", "hf://timm/resnet18", "file:///tmp/w.pth"])
def test_a_url_is_no_path(weights: str) -> None:
    for name in ("resnet18", "test_vit"):
        with pytest.raises(ValueError, match=rf"\Abackbone.weights={re.escape(weights)} is a URL: download it[^\n]+\Z"):
            load(name, weights)


@pytest.mark.parametrize("weights", [None, "pretrained", "DEFAULT"])
def test_a_key_without_a_file_is_refused(weights: str | None) -> None:
    with pytest.raises(ValueError, match="weights_key=teacher chooses in a file"):
        load("resnet18" if weights == "DEFAULT" else "test_vit", weights, "teacher")


def test_the_copy_that_was_taken_is_named_and_how_to_choose_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    donor = distinct(DONORS["test_vit"]().state_dict())
    torch.save({"ema": {**donor, "norm.weight": torch.ones(3)}, "net": donor}, tmp_path / "w.pth")
    assert torch.equal(load("test_vit", str(tmp_path / "w.pth")).state_dict()["norm.weight"], donor["norm.weight"])
    assert "w.pth, net,; left out: head.weight, head.bias; backbone.weights_key= chooses another: ema" in caplog.text
    with pytest.raises(ValueError, match=r"w.pth, ema, does not fit"):
        load("test_vit", str(tmp_path / "w.pth"), "ema")


STRATEGIES = {
    "frozen": None,
    "finetune": Strategy(),
    "lp_ft": Strategy(head_first=True, batchnorm="fixed"),  # without the statistics of its BatchNorms in the file
    "bitfit": Strategy(trained="bias"),
    "until": Strategy(freeze="until:layer3"),
}


@pytest.fixture
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, State]:
    """A checkpoint of a classifier, and what its backbone held."""
    model = Classifier(from_timm("test_resnet", None, seed=7, pooling="avg"), linear, "abc", strategy=request.param)
    with torch.no_grad():
        for name in model.freezing.changing():
            value = model.backbone.state_dict()[name]
            value.copy_(torch.rand_like(value, dtype=torch.float32))
    trainer = Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "best.ckpt")
    donor = model.backbone.state_dict().items()
    return tmp_path / "best.ckpt", {name.removeprefix("network."): value for name, value in donor}


@pytest.mark.parametrize("checkpoint", STRATEGIES.values(), ids=STRATEGIES, indirect=True)
def test_a_checkpoint_of_headstarts_own_brings_its_backbone(checkpoint: tuple[Path, State]) -> None:
    path, donor = checkpoint
    found = from_timm("test_resnet", str(path), seed=1)
    assert all(torch.equal(value, donor[name]) for name, value in found.network.state_dict().items())
    again = from_timm(**{key: value for key, value in found.spec.items() if key != "_target_"})
    assert again.digest == found.digest


@pytest.mark.parametrize("checkpoint", [STRATEGIES["bitfit"]], indirect=True)
def test_what_was_trained_alone_is_no_other_backbones(checkpoint: tuple[Path, State]) -> None:
    path, _ = checkpoint
    with pytest.raises(ValueError, match=r"best.ckpt holds what was trained alone"):
        from_torchvision("resnet18", str(path))
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["backbone"]["weights"] = str(path)  # which would never end
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"best.ckpt holds what was trained alone"):
        from_timm("test_resnet", str(path))
    content["hyper_parameters"]["backbone"] |= {"weights": None, "seed": 8}
    torch.save(content, path)
    with pytest.raises(ValueError, match="other backbone weights"):
        from_timm("test_resnet", str(path))
