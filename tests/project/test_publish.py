"""Published folders of real runs: moved elsewhere, in a process that knows nothing of this project."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from fake_hub import fake_hub
from hydra.utils import execution_whitelist
from PIL import Image
from runs import ROOT, TINY
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small

from headstart.extras.serving.publishing.config import CONFIG
from headstart.predictor import Predictor, load_classifier
from headstart.resume import trusted
from headstart.weights import isolated
from project import TRUSTED

pytestmark = pytest.mark.slow
OWN_WEIGHTS = "backbone.weights=secret_folder/own.pt"
MOBILENET, SHORT = TINY[:3], TINY[3:]
RUNS = {  # by the network that comes out
    "bundled": ("backbone=efficientnet_lite0",),
    "mlp": (*MOBILENET, "strategy=finetune", "head=mlp", OWN_WEIGHTS),
    "pooled": (*MOBILENET, OWN_WEIGHTS, "backbone.pooling=gem"),
}
CLEAN = """
import json, sys, torch
sys.modules |= {"headstart": None, "project": None}
folders, images, output = json.loads(sys.argv[1])
found = {}
for name, folder in folders.items():
    sys.path.insert(0, folder)
    sys.modules.pop("load", None)
    from load import load
    model = load()
    found[name] = model.probabilities(images)
    best = found[name].max(dim=1)
    assert model.predict(images) == [(model.classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist())]
    found[f"{name}, calibrated"] = load(calibrated=True).probabilities(images)
    if "pretrained_cfg" in json.load(open(f"{folder}/config.json")):
        import timm
        network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        found[f"{name}, timm"] = network(torch.stack([*map(model.prepare, images)])).softmax(dim=1).detach()
        assert list(network.pretrained_cfg["label_names"]) == model.classes
torch.save(found, output)
"""


class Published(NamedTuple):
    run_dir: Path
    folder: Path
    wanted: Tensor
    temperature: float


def run_script(name: str, *arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / name), run_name="__main__")


def own_weights() -> dict[str, Tensor]:
    """A mobilenet's, with the statistics of noise: with those of nothing, all images look alike once it is trained."""
    with isolated(0):
        network = mobilenet_v3_small().train()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0
        network(torch.randn(8, 3, 96, 96))
    return network.state_dict()


@pytest.fixture(scope="module")
def some_images(images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Test images, one of which is a wide transparent PNG, and one lies on its side."""
    folder, paths = tmp_path_factory.mktemp("odd"), sorted(images.glob("test/*/*.jpg"))
    with Image.open(paths[0]) as image:
        image.resize((300, 80)).convert("RGBA").rotate(9).save(folder / "wide.png")
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(folder / "turned.jpg", exif=exif)
    return [str(path) for path in (*paths, *folder.iterdir())]


@pytest.fixture(scope="module")
def published(images: Path, some_images: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """A published folder of each of RUNS, and what `headstart.load` says in float32; the runs are gone."""
    workdir, found = tmp_path_factory.mktemp("workdir"), {}
    moved = tmp_path_factory.mktemp("moved")
    (workdir / "secret_folder").mkdir()
    torch.save(own_weights(), workdir / "secret_folder" / "own.pt")
    with pytest.MonkeyPatch.context() as patch, execution_whitelist(TRUSTED):
        patch.setattr(trusted, "TYPED", workdir / ".typed")
        patch.chdir(workdir)
        for name, overrides in RUNS.items():
            data = ("data=folder", f"data.root={images}", *SHORT, "trainer.max_epochs=1", "logger=none")
            data += (f"hydra.run.dir={workdir}/runs/{name}",)
            run_script("train.py", *data, *overrides)
            run_dir = workdir / "runs" / name
            run_script("scripts/publish.py", str(run_dir))
            predictor = Predictor(load_classifier(run_dir / "checkpoints" / "best.ckpt"), "32-true")
            wanted = torch.stack([predictor.probabilities(predictor.read(path)[None])[0] for path in some_images])
            folder = (run_dir / "published").rename(moved / name)
            config = json.loads((folder / CONFIG).read_text())
            found[name] = Published(run_dir, folder, wanted, config["headstart"]["temperature"])
    (workdir / "runs").rename(workdir / "elsewhere")
    return found


@pytest.fixture(scope="module")
def in_a_clean_process(
    published: dict[str, Published], some_images: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Tensor]:
    """What load.py, and timm, say of the images in a process without this project."""
    output = tmp_path_factory.mktemp("output") / "found.pt"
    told = json.dumps([{name: str(one.folder) for name, one in published.items()}, some_images, str(output)])
    command = [sys.executable, "-W", "ignore", "-c", CLEAN, told]
    done = subprocess.run(command, cwd=output.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return torch.load(output, weights_only=True)


def test_runs_are_published(
    published: dict[str, Published], in_a_clean_process: dict[str, Tensor], images: Path, workdir: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """All in one, as the runs take half a minute, and would be made again for each process that tests."""
    check_that_a_moved_folder_predicts_what_the_run_predicts(published, in_a_clean_process)
    check_that_timm_loads_its_own_architectures(published, in_a_clean_process)
    check_that_files_are_those_that_the_hub_expects(published)
    check_that_nothing_of_this_machine_is_published(published, images)
    check_that_transformers_prepares_images_as_the_run_did(published, images)
    check_that_a_folder_of_somebody_elses_is_left_alone(published, workdir)
    capfd.readouterr()
    check_that_a_run_is_published_on_the_hub(published, workdir, monkeypatch, capfd)


def check_that_a_moved_folder_predicts_what_the_run_predicts(
    published: dict[str, Published], in_a_clean_process: dict[str, Tensor]
) -> None:
    for name, one in published.items():
        assert one.wanted.std(dim=0).max() > 1e-3, name  # images are told apart
        torch.testing.assert_close(in_a_clean_process[name], one.wanted, atol=1e-4, rtol=0, msg=name)
        calibrated = one.wanted.log().div(one.temperature).softmax(dim=1)
        torch.testing.assert_close(in_a_clean_process[f"{name}, calibrated"], calibrated, atol=1e-4, rtol=0, msg=name)
    assert any(one.temperature != 1 for one in published.values())


def check_that_timm_loads_its_own_architectures(
    published: dict[str, Published], in_a_clean_process: dict[str, Tensor]
) -> None:
    assert [name for name in in_a_clean_process if name.endswith("timm")] == ["bundled, timm"]
    torch.testing.assert_close(in_a_clean_process["bundled, timm"], published["bundled"].wanted, atol=1e-4, rtol=0)


def check_that_files_are_those_that_the_hub_expects(published: dict[str, Published]) -> None:
    always = {"model.safetensors", "config.json", "preprocessor_config.json", "README.md", "load.py", "plots"}
    for name, (_, folder, *_) in published.items():
        assert {path.name for path in folder.iterdir()} == always | ({"model.pt2"} if name == "pooled" else set())
        config = json.loads((folder / CONFIG).read_text())
        assert (config["num_classes"], config["label_names"][:2]) == (10, ["black", "blue"])
        card = (folder / "README.md").read_text()
        plots = {path.name for path in folder.glob("plots/*")}
        assert plots == {"history.png", "confusion_matrix.png", "class_f1.png", "reliability.png"}
        assert all(f"](plots/{plot})" in card for plot in plots)
        assert f"{sum(one.stat().st_mode & 0o044 != 0 for one in folder.iterdir())}" == f"{len([*folder.iterdir()])}"


def check_that_nothing_of_this_machine_is_published(published: dict[str, Published], images: Path) -> None:
    private = [str(images), str(next(iter(published.values())).run_dir.parents[1]), str(ROOT), str(Path.home())]
    private += ["secret_folder", os.uname().nodename]
    for one in published.values():
        for path in filter(Path.is_file, one.folder.rglob("*")):
            content = path.read_bytes()
            assert not [said for said in private if len(said) > 5 and said.encode() in content], path
    assert '"weights": "own.pt"' in (published["mlp"].folder / CONFIG).read_text()


def check_that_transformers_prepares_images_as_the_run_did(published: dict[str, Published], images: Path) -> None:
    transformers = pytest.importorskip("transformers")
    path = sorted(images.glob("test/*/*.jpg"))[0]
    for name in ("mlp", "bundled"):
        folder = published[name].folder
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        with Image.open(path) as image:
            found = torch.as_tensor(processor([image.convert("RGB")], return_tensors="pt")["pixel_values"])[0]
        sys.modules.pop("load", None)
        model: Any = runpy.run_path(str(folder / "load.py"))
        config = json.loads((folder / CONFIG).read_text())
        wanted = model["Model"](torch.nn.Identity(), config, False, "cpu").prepare(path)
        assert found.shape == wanted.shape
        assert (found - wanted).abs().mean() < 0.02


def check_that_a_folder_of_somebody_elses_is_left_alone(published: dict[str, Published], workdir: Path) -> None:
    (workdir / "mine").mkdir()
    (workdir / "mine" / "thesis.tex").write_text("x")
    run_dir = published["pooled"].run_dir.parents[1] / "elsewhere" / "pooled"
    with pytest.raises(SystemExit, match=r"^error: .*mine holds thesis\.tex, which wasn't published from here[^\n]*$"):
        run_script("scripts/publish.py", str(run_dir), "--to", "mine")
    assert [path.name for path in workdir.rglob("*")] == ["mine", "thesis.tex"]


def check_that_a_run_is_published_on_the_hub(
    published: dict[str, Published], workdir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run_dir = published["pooled"].run_dir.parents[1] / "elsewhere" / "pooled"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with fake_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        run_script("scripts/publish.py", str(run_dir), "--to", "x/y", "--hub", "me/colours", "--license", "mit")
        said = "".join(capfd.readouterr())
        assert said.split() == [str(workdir / "x" / "y"), f"{hub.address}/me/colours"]
    assert hub.made[0]["visibility"] == "private"
    files = {str(path.relative_to("x/y")): path.read_bytes() for path in Path("x/y").rglob("*") if path.is_file()}
    assert hub.files == files
    assert b"\nlicense: mit\n" in files["README.md"]
    assert b'snapshot_download("me/colours")' in files["README.md"]
    assert not [name for name, content in files.items() if b"hf_secret" in content]
