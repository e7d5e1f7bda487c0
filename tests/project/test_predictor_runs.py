"""`headstart.load` on real runs: it says what the classifier says, wherever it is called from."""

import doctest
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import tiny
import torch
from hydra.utils import execution_whitelist
from omegaconf import OmegaConf
from PIL import Image
from runs import chosen, composed, results

import headstart
from headstart.errors import UserError
from headstart.machine import prepare_process
from headstart.predictor import Predictor
from headstart.resume.signals import StopRequest
from headstart.runs import find_run
from project import TRUSTED
from project import main as road
from project.model import classifier
from project.model.classifier import Classifier
from project.reporting.run_folder import RunFolder

pytestmark = pytest.mark.slow


def test_it_says_what_the_run_said_of_its_test_images(tiny_run: Path) -> None:
    predictor, folder = headstart.load(tiny_run), RunFolder(tiny_run)
    test = folder.splits["test"]
    found = torch.stack(
        [one.probabilities for one in predictor.each(list(test.paths)) if one.probabilities is not None]
    )
    assert predictor.classes == folder.classes
    assert torch.allclose(found, torch.from_numpy(folder.probabilities("test")), atol=1e-5)
    assert [name for name, _ in predictor.predict(list(test.paths))] == [folder.classes[i] for i in test.predicted]


def test_folded_in_float32_it_says_what_the_classifier_says(tiny_run: Path) -> None:
    checkpoint = tiny_run / "checkpoints/best.ckpt"
    model = Classifier.load_from_checkpoint(checkpoint)
    predictor = Predictor(Classifier.load_from_checkpoint(checkpoint), "32-true")
    crop = predictor.preprocessing.crop
    images = torch.randint(0, 256, (5, 3, crop, crop), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = model(images).softmax(dim=1)
    assert torch.allclose(predictor.probabilities(images), wanted, atol=1e-5)
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in predictor.model.modules()) == 0


class SameForm(doctest.OutputChecker):
    """Any class will do, and any probability: those of the docstring are another model's."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        mine, yours = (re.sub(r"\('\w+', 0\.\d+(e-\d+)?\)", "(class, probability)", text) for text in (want, got))
        return super().check_output(mine, yours, optionflags)


def test_the_docstring_is_true(tiny_run: Path, workdir: Path, images: Path) -> None:
    shutil.copytree(tiny_run, workdir / "logs/runs/2026-11-23_14-25-42")
    for number in (1, 2):
        shutil.copy(images / "test" / "red" / f"000{number - 1}.jpg", f"{number}.jpg")
    (examples,) = (one for one in doctest.DocTestFinder().find(Predictor.predict, "predict") if one.examples)
    assert len(examples.examples) >= 10
    said: list[str] = []
    runner = doctest.DocTestRunner(SameForm(), verbose=False)
    assert runner.run(examples, out=said.append).failed == 0, "".join(said)


def test_in_somebody_elses_project(tiny_run: Path, tmp_path: Path, images: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "theirs" / "model")
    image = images / "test" / "red" / "0000.jpg"
    program = (
        "import headstart, sys\n"
        "assert 'torch' not in sys.modules\n"
        f"print(headstart.load('model').predict([{str(image)!r}]))\n"
        "from hydra.core.global_hydra import GlobalHydra\n"
        "assert not GlobalHydra().is_initialized()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "theirs", capture_output=True, text=True)
    assert done.stdout.strip() == str(headstart.load(tiny_run).predict(Image.open(image))), done.stderr
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == ["model"]


class Exploit:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("owned"),)


@pytest.mark.usefixtures("workdir")
def test_a_strangers_checkpoint_runs_nothing(tiny_run: Path) -> None:
    torch.save({"hyper_parameters": Exploit()}, "evil.ckpt")
    shutil.copytree(tiny_run, "run")
    shutil.copy("evil.ckpt", "run/checkpoints/best.ckpt")
    for place in ("evil.ckpt", "run", "run/checkpoints/best.ckpt"):
        with pytest.raises(UserError, match=r"the checkpoint \S+\.ckpt can't be read") as caught:
            headstart.load(place)
        assert "\n" not in str(caught.value)
    assert not Path("owned").exists()


@pytest.fixture
def tiny_is_trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(classifier, "BACKBONES", (tiny.TRUSTED,))
    monkeypatch.setattr(road, "command_of", lambda _: "")
    with execution_whitelist((*TRUSTED, tiny.TRUSTED)):
        yield


@pytest.mark.usefixtures("workdir", "tiny_is_trusted")
@pytest.mark.parametrize("cell", [("resnet", "finetune"), ("resnet", "bitfit"), ("vit", "lora")], ids="-".join)
def test_a_run_of_another_strategy(images: Path, cell: tuple[str, str]) -> None:
    family, strategy = cell
    if strategy not in chosen("strategy"):
        pytest.skip("no choice of this project")
    cfg = deepcopy(composed(
        f"strategy={strategy}", "data=folder", f"data.root={images}", "data.batch_size=20", "logger=none",
        "backbone=torchvision", "backbone._target_=tiny.backbone", f"backbone.name={family}", "backbone.weights=null",
        "trainer=cpu", "trainer.precision=32", "trainer.max_epochs=2", "progress=none", "augment=none", "model.lr=0.01",
    ))  # fmt: skip
    Path("run").mkdir()
    OmegaConf.update(cfg, "run_dir", "run")
    prepare_process()
    road.run(cfg, StopRequest(), in_sweep=True, with_plots=False)
    predictor, test = headstart.load("run"), RunFolder("run").splits["test"]
    found = torch.stack(
        [one.probabilities for one in predictor.each(list(test.paths)) if one.probabilities is not None]
    )
    assert torch.allclose(found, torch.from_numpy(RunFolder("run").probabilities("test")), atol=1e-4)
    assert predictor.precision == results(Path("run"))["hardware"]["precision"]
    state = torch.load(find_run("run").checkpoint, weights_only=True)["state_dict"]
    assert any(name.startswith("backbone.") for name in state), "nothing of the backbone was trained"
