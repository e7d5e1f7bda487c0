"""A trained model as files for other runtimes (headstart.extras.serving): from a run to each format and back."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from processes import Script
from runs import TINY

from headstart.errors import UserError
from headstart.extras.serving.export.formats import FORMATS, chosen, writable


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """The folder of a run, which nobody changes."""
    cwd = tmp_path_factory.mktemp("export") / "here"
    cwd.mkdir()
    arguments = ["data=folder", f"data.root={images}", *TINY, "logger=none", "hydra.run.dir=run"]
    script = Script("train.py", *arguments, cwd=cwd)
    assert script.end() == 0, script.stderr
    return cwd / "run"


def exported(run_dir: Path, *arguments: str) -> Script:
    script = Script("scripts/export.py", str(run_dir), *arguments, cwd=run_dir.parent)
    script.end(400)
    return script


def test_what_cant_be_exported_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(["onnx", "pt", "onnx"], int8=True) == ["onnx", "onnx-int8", "pt"]
    with pytest.raises(UserError, match=r"there is no format 'onxx'; did you mean onnx\? choose pt, state_dict"):
        chosen(["pt", "onxx"])
    with pytest.raises(UserError, match="--int8 is for the formats onnx and openvino"):
        chosen(["pt"], int8=True)
    monkeypatch.setattr("headstart.extras.serving.export.formats.find_spec", dict[str, Any]().get)
    with pytest.raises(UserError, match=r"onnxruntime, onnxscript not installed: pip install -e \.\[export\]$"):
        chosen(["onnx"])
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"file/export can't be written to \(Not a directory\): choose another folder by --to"
    ):
        writable(tmp_path / "file" / "export")


def test_a_folder_that_is_anothers_cant_be_written_to(nobody: Path) -> None:
    (nobody / "export").mkdir(mode=0o500)
    with pytest.raises(
        UserError, match=r"export can\'t be written to \(Permission denied\): choose another folder by --to"
    ):
        writable(nobody / "export")


@pytest.mark.slow
def test_each_format_says_what_the_model_says(run_dir: Path) -> None:
    script = exported(run_dir, "--format", ",".join(FORMATS), "--to", str(run_dir / "all"))
    assert script.process.exitcode == 0, script.stdout + script.stderr
    names = {"model.pt", "model.pt.json", "state_dict.pt", "state_dict.pt.json", "model.safetensors", "model.pt2"}
    assert {path.name for path in (run_dir / "all").iterdir()} == names | {"model.onnx", "model.xml", "model.bin"}
    rows = [line for line in script.stdout.splitlines() if line.startswith("│")]
    assert len(rows) == len(FORMATS), script.stdout
    assert "compared on 20 test images; the model itself, in float32: accuracy" in script.stdout


@pytest.mark.slow
def test_a_file_tells_of_itself_and_needs_nothing_of_headstart(run_dir: Path, images: Path) -> None:
    folder = run_dir / "some"
    script = exported(run_dir, "--format", "pt", "--format", "onnx,torch_export", "--to", str(folder))
    assert script.process.exitcode == 0, script.stdout + script.stderr
    about = json.loads((folder / "model.pt.json").read_text())
    assert (about["classes"][0], about["preprocessing"]["crop"], about["gives"]) == ("black", 224, "logits")
    assert about["backbone_license"] == "none (random weights)"
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == about["classes"]
    assert said["gives"] == session.get_outputs()[0].name == "probabilities"
    assert session.get_inputs()[0].shape == ["batch", 3, 224, 224]
    extra = {"about.json": ""}
    program: Any = torch.export.load(folder / "model.pt2", extra_files=extra).module()
    assert json.loads(extra["about.json"])["classes"] == about["classes"]
    with Image.open(next((images / "test" / "red").iterdir())) as image:
        long = image.resize((97, 700))  # longer than four times as wide
    from headstart.predictor import FLOAT32, Predictor, load_classifier

    predictor = Predictor(load_classifier(run_dir / "checkpoints" / "best.ckpt"), FLOAT32)
    wanted = predictor.probabilities(predictor.read(long)[None])
    raw = torch.from_numpy(np.array(long)).permute(2, 0, 1)[None]
    assert torch.allclose(program(raw), wanted, atol=1e-5)


@pytest.mark.slow
def test_a_plain_module_is_loaded_where_there_is_no_headstart(run_dir: Path) -> None:
    folder = run_dir / "plain"
    script = exported(run_dir, "--format", "pt,state_dict", "--to", str(folder))
    assert script.process.exitcode == 0, script.stdout + script.stderr
    for name in ("model.pt.json", "state_dict.pt.json"):
        lines = json.loads((folder / name).read_text())["load"]
        hide = "import sys\nsys.modules['headstart'] = sys.modules['project'] = None\n"
        show = "\nprint(type(model).__module__, tuple(model(torch.zeros(3, 3, 224, 224)).shape))"
        done = subprocess.run(
            [sys.executable, "-c", hide + lines + show], cwd=folder, capture_output=True, text=True, check=True
        )
        assert done.stdout == "torchvision.models.mobilenetv3 (3, 10)\n"


@pytest.mark.slow
def test_int8_is_judged_by_its_accuracy(run_dir: Path) -> None:
    script = exported(run_dir, "--format", "onnx,openvino", "--int8", "--to", str(run_dir / "int8"))
    assert script.process.exitcode == 0, script.stdout + script.stderr
    sizes = {path.name: path.stat().st_size for path in (run_dir / "int8").iterdir()}
    assert sizes["model_int8.onnx"] < sizes["model.onnx"] / 2
    assert sizes["model_int8.bin"] < sizes["model.bin"] / 2


class Exploit:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


@pytest.mark.slow
def test_a_strangers_pickle_runs_nothing(tmp_path: Path) -> None:
    checkpoint = tmp_path / "evil.ckpt"
    torch.save({"hyper_parameters": Exploit(tmp_path / "owned")}, checkpoint)
    here = tmp_path / "here"
    here.mkdir()
    script = Script("scripts/export.py", str(checkpoint), "--format", "pt", cwd=here)
    assert script.end() == 1
    assert script.stderr.startswith(f"error: the checkpoint {checkpoint} can't be read")
    assert script.stderr.count("\n") == 1
    assert not (tmp_path / "owned").exists()
