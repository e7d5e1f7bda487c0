"""What headstart.extras.engines makes of a network: the same features, without a word to anybody."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from runs import Train
from torch import Tensor, nn
from torchvision import models

from headstart.extras.engines.openvino import OpenVino
from headstart.features.engines import Engine, fastest
from headstart.features.fast_network import fold_batchnorms
from headstart.features.inventory import read_metadata
from headstart.features.trial import recall
from headstart.predictor import Predictor, load_classifier

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="needs openvino")

NETWORKS = {
    "convolutions": lambda: models.mobilenet_v3_small(num_classes=9),
    "a transformer": lambda: timm.create_model("test_vit", num_classes=0),
    "layer norms": lambda: timm.create_model("test_convnext", num_classes=0),
}
SIDE = {"a transformer": 160}
QUIET = """
import sys
said = []
sys.addaudithook(lambda event, args: said.append((event, args)) if event.startswith("socket.") else None)
import absl  # as TensorBoard does
import torch
from headstart.extras.engines.openvino import OpenVino
network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
made = OpenVino(network, torch.ones(2, 3, 8, 8), False)
made(torch.ones(3, 3, 8, 8))
print(sum(event != "socket.gethostname" for event, _ in said), sys.modules.get("openvino_telemetry"))
print("absl.logging" in sys.modules)
"""


def noise(count: int, side: int) -> Tensor:
    made = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return made.contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_it_computes_the_same_for_batches_of_any_size(name: str) -> None:
    network, side = NETWORKS[name]().eval(), SIDE.get(name, 96)
    made = OpenVino(fold_batchnorms(network, noise(2, side)), noise(2, side), bf16=False)
    for count in (5, 1, 2):
        wanted, found = network(noise(count, side)), made(noise(count, side))
        assert found.dtype == torch.float32
        assert (found - wanted).norm() <= 1e-4 * wanted.norm()


@pytest.mark.slow
def test_nothing_is_told_to_anybody() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "None", "False"]
    assert not done.stderr


class LooksFirst(nn.Module):
    """Takes one way or another, which tracing can't know."""

    def forward(self, images: Tensor) -> Tensor:
        means = images.mean(dim=(2, 3))
        return means if images[2:].sum() == 0 else means + 1  # tracing shows it two images


def test_what_comes_out_different_stays_with_pytorch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine, some = Engine("openvino", "1.0", bf16=False, forced=True), noise(8, 16)
    for _ in range(2):  # the second time, by heart
        assert fastest(engine, LooksFirst().eval(), some[:2], lambda: some, 8, tmp_path) is None
        said = "features: computed by torch, as openvino can't be used: its features differ by"
        assert caplog.messages[-1].startswith(said)
    assert len(caplog.messages) == 2
    assert len(recall(tmp_path)) == 1


def computed(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"(\d+) of them computed now", text)]


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "again"), [("bf16-mixed", 80), ("32-true", 0)])
def test_in_a_run_its_features_are_found_again_and_are_pytorchs_only_in_float32(
    precision: str, again: int, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, engine in enumerate(("openvino", "openvino", "auto", "torch")):
        train(f"features.engine={engine}", f"trainer.precision={precision}", f"hydra.run.dir=logs/runs/{number}")
    said = capsys.readouterr().out
    assert computed(said) == [80, 0, again, 0]  # in bfloat16, auto is PyTorch
    assert said.count("features: computed by openvino") == 1
    named = [read_metadata(path).get("engine", "") for path in Path("data/features").glob("*.safetensors")]
    assert sorted(bool(name) for name in named) == ([False] * 3 + [True] * 3 if again else [False] * 3)
    curves = [Path(f"logs/runs/{number}/metrics.csv").read_text() for number in range(4)]
    assert (curves[0], curves[2]) == (curves[1], curves[3])
    assert (curves[0] == curves[2]) == (not again)


@pytest.mark.slow
def test_it_predicts_what_pytorch_predicts(tiny_run: Path, images: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [str(path) for path in sorted(images.glob("test/*/*.jpg"))]
    found = []
    for engine in ("torch", "openvino"):
        predictor = Predictor(load_classifier(tiny_run / "checkpoints/best.ckpt"), "32-true", engine=engine)
        answers = predictor.each(paths, batch_size=7)
        found.append(torch.stack([one.probabilities for one in answers if one.probabilities is not None]))
        assert isinstance(predictor.model.backbone, OpenVino) == (engine == "openvino")
    assert torch.allclose(*found, atol=1e-4)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_engine_is_tried_once_for_all_batches(tiny_run: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr("headstart.predictor.fastest", lambda *options: tried.append(options[4]))
    predictor = Predictor(load_classifier(tiny_run / "checkpoints/best.ckpt"), "32-true")
    paths = [str(path) for path in sorted(images.glob("test/*/*.jpg"))]
    assert list(predictor.each(paths[:3], batch_size=7))  # one batch is nothing to try another engine for
    assert not tried
    assert len(list(predictor.each(paths, batch_size=7))) == len(paths)
    assert tried == [len(paths)]
