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
from runs import ROOT, Train, results

from headstart.errors import UserError
from headstart.extras.serving.about import about
from headstart.extras.serving.export import measuring
from headstart.extras.serving.export.files import export
from headstart.extras.serving.export.formats import FORMATS, chosen, writable
from headstart.extras.serving.export.loaded import Usage
from headstart.extras.serving.export.writers import WRITERS, Source, write_state_dict
from headstart.extras.serving.plain import plain_network
from headstart.predictor import FLOAT32, Predictor, load_classifier
from headstart.runs import Run
from project.backbones.torchvision import from_torchvision
from project.model.classifier import Classifier
from project.model.heads import linear

HASTY = """
import runpy, sys
from headstart.extras.serving.export import measuring
measuring.SECONDS, measuring.ROUNDS = 0.01, 1
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def exported(run_dir: Path) -> tuple[Path, str]:
    """The folder of all files that a run can be exported to, and what was said; speeds are hardly measured."""
    folder = run_dir / "all"
    formats = ["--format", "pt", "--format", ",".join(FORMATS), "--int8", "--to", str(folder)]
    command = [sys.executable, "-c", HASTY, str(ROOT / "scripts/export.py"), str(run_dir), *formats]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


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
def test_a_run_is_exported_to_every_format_and_loaded_by_its_own_runtime(train: Train, images: Path) -> None:
    (run_dir,) = train("logger=none")
    folder, said = exported(run_dir)  # once, as it takes half a minute
    check_what_was_said(folder, said, run_dir)
    check_that_files_tell_of_themselves(folder, run_dir, images)
    check_that_a_plain_module_needs_no_headstart(folder)
    check_that_int8_is_smaller(folder)
    places = [str(place).encode() for place in (ROOT, Path(sys.prefix), run_dir.absolute().parent)]
    assert not [path for path in folder.iterdir() if any(place in path.read_bytes() for place in places)]


def check_what_was_said(folder: Path, said: str, run_dir: Path) -> None:
    names = {"model.pt", "model.pt.json", "state_dict.pt", "state_dict.pt.json", "model.safetensors", "model.pt2"}
    names |= {"model.onnx", "model.xml", "model.bin", "model_int8.onnx", "model_int8.xml", "model_int8.bin"}
    assert {path.name for path in folder.iterdir()} == names
    rows = [line for line in said.splitlines() if line.startswith("│")]
    assert len(rows) == len(FORMATS) + 2, said
    wanted = results(run_dir)["metrics"]["test/accuracy"]
    precision = results(run_dir)["hardware"]["precision"]
    assert f"compared on 20 test images; accuracy of the run, in {precision}: {wanted:.4f}; the same" in said


def check_that_files_tell_of_themselves(folder: Path, run_dir: Path, images: Path) -> None:
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
    predictor = Predictor(load_classifier(run_dir / "checkpoints" / "best.ckpt"), FLOAT32)
    wanted = predictor.probabilities(predictor.read(long)[None])
    raw = torch.from_numpy(np.array(long)).permute(2, 0, 1)[None]
    assert torch.allclose(program(raw), wanted, atol=1e-5)


def check_that_a_plain_module_needs_no_headstart(folder: Path) -> None:
    lines = ["import sys", "sys.modules['headstart'] = sys.modules['project'] = None"]
    for name in ("model.pt.json", "state_dict.pt.json"):
        lines.append(json.loads((folder / name).read_text())["load"])
        lines.append("print(type(model).__module__, tuple(model(torch.zeros(3, 3, 224, 224)).shape))")
    code = "\n".join(lines)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "torchvision.models.mobilenetv3 (3, 10)\n" * 2


def check_that_int8_is_smaller(folder: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes["model_int8.onnx"] < sizes["model.onnx"] / 2
    assert sizes["model_int8.bin"] < sizes["model.bin"] / 2


@pytest.mark.slow
def test_a_worse_file_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def worse(source: Source, folder: Path) -> Usage:
        network: Any = source.plain.network
        with torch.no_grad():
            network.fc.bias[0] += 0.1
        return write_state_dict(source, folder)

    monkeypatch.setitem(WRITERS, "state_dict", worse)
    monkeypatch.setattr(measuring, "SECONDS", 0.01)
    monkeypatch.setattr(measuring, "ROUNDS", 1)
    model = Classifier(from_torchvision("resnet18", None), linear, ["a", "b"]).eval()
    source = Source(model, plain_network(model), about(Run(tmp_path, None, {}), model), tmp_path)
    reference = measuring.Reference(Predictor(model, FLOAT32), measuring.random_images(224)[:3], None)
    (found,) = export(["state_dict"], source, reference, tmp_path, None, [].append)
    assert found.error.startswith("not kept: probabilities differ by 2.5e-02, more than 0.001")
    assert [*tmp_path.iterdir()] == []


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
