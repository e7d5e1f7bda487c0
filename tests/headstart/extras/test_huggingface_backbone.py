"""Models of Hugging Face: loaded from a folder or the Hub's cache, with what their processors do to images."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import constants
from PIL import Image
from runs import Train, results
from torchvision.transforms.v2.functional import pil_to_tensor

from headstart.extras.huggingface.backbone import from_huggingface
from headstart.extras.huggingface.processor import processor_preprocessing
from headstart.images.transforms import ResizeAndCrop

SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SMALL: dict[str, Any] = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}
CROPPED = transformers.BitImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
MODELS = {
    "dinov2": (transformers.Dinov2Config(image_size=56, patch_size=8, **SIZES), CROPPED, 16),
    "convnext": (
        transformers.ConvNextConfig(**SMALL),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 64}),
        16,
    ),
    "resnet": (transformers.ResNetConfig(embedding_size=8, layer_type="basic", **SMALL), CROPPED, 16),
    "swin": (
        transformers.SwinConfig(image_size=32, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4),
        CROPPED,
        16,
    ),
    "clip": (
        transformers.CLIPVisionConfig(image_size=32, patch_size=8, **SIZES),
        transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        16,
    ),
}


def save(name: str, folder: Path) -> Any:
    config, processor, _ = MODELS[name]
    network = transformers.AutoModel.from_config(config).eval()
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return network


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_features_are_the_models_own(name: str, tmp_path: Path) -> None:
    network = save(name, tmp_path)
    backbone = from_huggingface(str(tmp_path))
    side = backbone.preprocessing.crop
    images = torch.randn(2, 3, side, side)
    features = backbone.network(images)
    assert features.shape == (2, backbone.num_features) == (2, MODELS[name][2])
    torch.testing.assert_close(features, network(pixel_values=images).pooler_output.flatten(1))
    assert backbone.spec["name"] == str(tmp_path)
    average = from_huggingface(str(tmp_path), pooling="avg")
    assert average.network(images).shape == features.shape
    if name in ("convnext", "resnet", "swin"):  # the average is what these give themselves
        torch.testing.assert_close(average.network(images), features)


def test_of_a_classifier_the_class_token_is_taken_without_a_word(
    tmp_path: Path, huggingface_vit: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config: Any = transformers.AutoConfig.from_pretrained(huggingface_vit)
    network = transformers.ViTForImageClassification(config).eval()
    network.save_pretrained(tmp_path)
    shutil.copy(huggingface_vit / "preprocessor_config.json", tmp_path)
    images = torch.randn(2, 3, 32, 32)
    capfd.readouterr()
    backbone = from_huggingface(str(tmp_path))
    assert capfd.readouterr() == ("", "")
    with torch.no_grad():
        wanted = network.vit(pixel_values=images).last_hidden_state[:, 0]
        torch.testing.assert_close(backbone.network(images), wanted)


@pytest.mark.parametrize(
    "processor",
    [
        transformers.ViTImageProcessor(),
        transformers.BitImageProcessor(size={"shortest_edge": 256}),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 224}),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 384}),
        transformers.DeiTImageProcessor(),
        transformers.SiglipImageProcessor(do_normalize=False),
    ],
    ids=lambda processor: type(processor).__name__,
)
def test_preprocessing_is_what_the_processor_does(processor: Any) -> None:
    noise = torch.randint(0, 256, (9, 13, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = Image.fromarray(noise.numpy()).resize((520, 360))
    wanted = processor(image, return_tensors="pt").pixel_values[0]
    found = processor_preprocessing(processor, "it")
    ours = ResizeAndCrop(found)(pil_to_tensor(image)).float() / 255
    ours = (ours - torch.tensor(found.mean).view(3, 1, 1)) / torch.tensor(found.std).view(3, 1, 1)
    assert ours.shape == wanted.shape
    assert (ours - wanted).abs().max() < 0.02  # of values from -2 to 2


@pytest.mark.parametrize(
    ("processor", "reason"),
    [
        (transformers.MobileViTImageProcessor(), "do_flip_channel_order"),
        (transformers.EfficientNetImageProcessor(rescale_offset=True), "rescale_offset"),
        (transformers.LevitImageProcessor(), "LevitImageProcessor"),
        (transformers.ViTImageProcessor(do_resize=False), "do_resize=false"),
        (transformers.ViTImageProcessor(rescale_factor=1.0), "unusual"),
        (transformers.ViTImageProcessor(size={"height": 32, "width": 64}), "only square ones"),
        (transformers.ViTImageProcessor(resample=4), "unknown interpolation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusual_processors_are_refused(processor: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"\Ait wants images [^\n]*{reason}[^\n]*\Z"):
        processor_preprocessing(processor, "it")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of a Hub that doesn't answer."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_the_hubs_cache_is_enough(hub: Path, huggingface_vit: Path) -> None:
    repository = hub / "models--somebody--vit"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(huggingface_vit, repository / "snapshots" / ("0" * 40))
    start = time.monotonic()
    backbone = from_huggingface("somebody/vit")
    assert time.monotonic() - start < 10  # no question that nobody answers
    assert backbone.digest == from_huggingface(str(huggingface_vit)).digest
    assert backbone.spec["name"] == "somebody/vit"


@pytest.mark.usefixtures("hub")
def test_offline_says_what_to_do_in_one_line() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"\A[^\n]*somebody/vit can't be loaded[^\n]*efficientnet_lite0[^\n]*\Z"):
        from_huggingface("somebody/vit")
    assert time.monotonic() - start < 10  # the Hub's own retries take 20 seconds and more


@pytest.mark.parametrize("damage", ["pickle", "half", "incomplete", "no processor", "code", "not of images"])
def test_what_can_not_be_loaded_is_said_in_one_line(damage: str, tmp_path: Path, huggingface_vit: Path) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(huggingface_vit, folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if damage == "pickle":
        torch.save({}, folder / "pytorch_model.bin")
        weights.unlink()
    elif damage == "half":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif damage == "incomplete":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 4}))
    elif damage == "no processor":
        (folder / "preprocessor_config.json").unlink()
    elif damage == "code":
        (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
        custom = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
        config.write_text(json.dumps(custom))
    else:
        tiny: dict[str, Any] = {"vocab_size": 9, "max_position_embeddings": 4}
        transformers.BertModel(transformers.BertConfig(**SIZES, **tiny)).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        from_huggingface(str(folder))
    assert str(folder) in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_models_that_hide_parts_of_images_are_refused(tmp_path: Path) -> None:
    config = transformers.ViTMAEConfig(image_size=32, patch_size=8, **SIZES)
    transformers.ViTMAEModel(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="hides random parts"):
        from_huggingface(str(tmp_path))


def test_random_weights_come_from_the_seed_and_others_from_a_file(huggingface_vit: Path, tmp_path: Path) -> None:
    first, again, other = (from_huggingface(str(huggingface_vit), None, seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    state = {name.removeprefix("network."): value for name, value in first.network.state_dict().items()}
    torch.save(state, tmp_path / "mine.pt")
    mine = from_huggingface(str(huggingface_vit), str(tmp_path / "mine.pt"))
    assert mine.digest == first.digest
    assert mine.spec["weights"] == str(tmp_path / "mine.pt")
    assert mine.packages == ("transformers",)


@torch.no_grad()
def test_poolings(huggingface_vit: Path) -> None:
    def features(pooling: str | None) -> torch.Tensor:
        backbone = from_huggingface(str(huggingface_vit), pooling=pooling)
        found = backbone.network(images)
        assert found.shape == (2, backbone.num_features)
        return found

    images = torch.rand(2, 3, 32, 32)
    own, cls, average = (features(pooling) for pooling in (None, "cls", "avg"))
    torch.testing.assert_close(cls, own)
    assert not torch.allclose(cls, average)
    torch.testing.assert_close(features("avg+cls"), torch.cat([average, cls], dim=1))
    network: Any = from_huggingface(str(huggingface_vit)).network.network
    states = network(pixel_values=images, output_hidden_states=True).hidden_states
    earlier = network.layernorm(states[-2])[:, 0]  # normed as the last block's is
    torch.testing.assert_close(features("blocks:2"), torch.cat([earlier, cls, average], dim=1))
    assert (features("gem") > 0).all()
    with pytest.raises(ValueError, match="ViTModel has 3 block"):
        from_huggingface(str(huggingface_vit), pooling="blocks:4")


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install -e \.\[huggingface\]"):
        from_huggingface("somebody/vit")


def test_a_run_with_the_class_tokens_of_two_blocks(train: Train, huggingface_vit: Path) -> None:
    own = ["backbone=huggingface", f"backbone.name={huggingface_vit}", "backbone.weights=pretrained"]
    (run,) = train(*own, "backbone.pooling=blocks:2")
    assert results(run)["status"] == "finished"
