"""evaluate.py on other data: labels follow names, lacking classes are left out, unknown ones refused."""

import json
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import ROOT, results

from project.reporting.run_folder import RunFolder

pytestmark = pytest.mark.slow
ALL = ("data=folder", "data.root=other", "data.val_fraction=0", "data.test_fraction=1", "trainer.accelerator=cpu")


@pytest.fixture
def run(tiny_run: Path, workdir: Path) -> Path:
    """A copy of a run, to write into."""
    return shutil.copytree(tiny_run, workdir / "run")


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def start(*arguments: object) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
        runpy.run_path(str(ROOT / "scripts/evaluate.py"), run_name="__main__")
        return capsys.readouterr().out

    return start


def written(run: Path) -> dict[str, Any]:
    """The only evaluation in a run's folder, or the last one."""
    return json.loads(sorted(run.glob("evaluations/*/evaluation.json"))[-1].read_text())


def test_the_runs_own_test_images_come_to_its_own_scores(run: Path, images: Path, evaluate: Any) -> None:
    before = (run / "results.json").read_bytes()
    shutil.copytree(images / "test", "other")
    said, metrics = evaluate(run, *ALL), results(run)["metrics"]
    found = written(run)
    for name in ("accuracy", "balanced_accuracy", "f1", "loss"):
        value = found[name] if name == "loss" else found[name]["value"]
        assert value == pytest.approx(metrics[f"test/{name}"], abs=1e-3), name
    assert found["accuracy"]["low"] <= found["accuracy"]["value"] <= found["accuracy"]["high"]
    assert found["classes_without_images"] == []
    assert f"evaluation.json: accuracy {metrics['test/accuracy']:.4f}" in said
    assert (run / "results.json").read_bytes() == before
    evaluate(run, *ALL)
    assert len(list(run.glob("evaluations/*/predictions.parquet"))) == 2


def test_labels_follow_names_and_not_places(run: Path, images: Path, evaluate: Any) -> None:
    shutil.copytree(images / "test", "other")
    for old, new in (("black", "zzz"), ("blue", "aa, b=c")):
        Path("other", old).rename(f"other/{new}")
    with pytest.raises(SystemExit, match=r"^error: the model doesn't know 'aa, b=c'; 'zzz': .*it knows black; blue"):
        evaluate(run, *ALL)
    assert not list(run.glob("evaluations/*"))
    evaluate(run, *ALL, "--classes", "zzz=black,aa, b=c=blue")
    test, found = RunFolder(run).splits["test"], written(run)
    recalls = [float(test.right[test.labels == number].mean()) for number in range(10)]
    assert [one["recall"]["value"] for one in found["classes"].values()] == pytest.approx(recalls)
    assert list(found["classes"]) == results(run)["classes"]
    assert len(set(recalls)) > 1, "recalls must differ for this test to mean anything"
    with pytest.raises(
        SystemExit, match=r"^error: --classes zzz=blak: the model has no class 'blak': did you mean black"
    ):
        evaluate(run, *ALL, "--classes=zzz=blak")


def test_what_lacks_classes_is_measured_on_those_it_has(
    run: Path, images: Path, evaluate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(images / "test", "other")
    gone = ["black", "cyan", "white"]
    for name in gone:
        shutil.rmtree(f"other/{name}")
    caplog.set_level("INFO")
    evaluate(run, *ALL)
    said, found = caplog.text, written(run)
    assert "there is no test image of black; cyan; white: what is measured are the other 7 classes" in said
    test, names = RunFolder(run).splits["test"], results(run)["classes"]
    kept = np.array([names[label] not in gone for label in test.labels])
    assert found["classes_without_images"] == gone
    assert found["images"] == kept.sum() == 14
    assert found["accuracy"]["value"] == pytest.approx(test.right[kept].mean())
    assert found["balanced_accuracy"]["value"] == pytest.approx(test.right[kept].mean()), "equally many of each"


def test_shifted_images(run: Path, evaluate: Any) -> None:
    said = evaluate(run, "--shift")
    found = written(run)
    shifts = {(row["shift"], row["strength"]): row for row in found["shifts"]}
    assert len(shifts) == 16
    assert shifts["none", ""]["accuracy"] == pytest.approx(results(run)["metrics"]["test/accuracy"])
    assert all(
        row["difference"] == pytest.approx(row["accuracy"] - found["accuracy"]["value"]) for row in shifts.values()
    )
    assert re.search(r"│ rotation +│ 45 degrees", said)
    evaluate(run, "--shift")
    assert written(run)["shifts"] == found["shifts"]


def test_what_is_typed_wrong(run: Path, evaluate: Any) -> None:
    for arguments, message in (
        ([run, "--classes"], "--classes wants old=new"),
        ([run, "--shfit"], "--shfit"),
        (["latest"], "latest: no run has ended"),
    ):
        with pytest.raises(SystemExit, match=f"^error: .*{message}"):
            evaluate(*arguments)


def test_the_latest_run_and_a_sweeps_best(run: Path, evaluate: Any) -> None:
    Path("logs/sweeps/some").mkdir(parents=True)
    Path("logs/runs").mkdir()
    run.rename("logs/sweeps/some/1")
    Path("logs/sweeps/some/sweep.json").write_text("[]")
    accuracy = f"{results(Path('logs/sweeps/some/1'))['metrics']['test/accuracy']:.4f}"
    for place in ("latest", "logs/sweeps/some"):
        assert accuracy in evaluate(place)


class Exploit:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("owned"),)


def test_a_strangers_checkpoint_runs_nothing(run: Path, images: Path, evaluate: Any) -> None:
    torch.save({"hyper_parameters": Exploit()}, "evil.ckpt")
    shutil.copy("evil.ckpt", run / "checkpoints/best.ckpt")
    data = ["data=folder", f"data.root={images}", "trainer.accelerator=cpu"]
    for arguments in ([run], [run, "--shift"], [run / "checkpoints/best.ckpt", *data], ["evil.ckpt", *data]):
        with pytest.raises(SystemExit, match=r"^error: the checkpoint \S+\.ckpt can't be read") as caught:
            evaluate(*arguments)
        assert "\n" not in str(caught.value)
    assert not Path("owned").exists()
