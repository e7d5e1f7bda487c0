"""Without test images a run ends in order; without others it doesn't begin."""

import csv
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from runs import ROOT, Train, results


@pytest.fixture
def root(images: Path, tmp_path: Path) -> Path:
    """The images, which may be changed."""
    return shutil.copytree(images, tmp_path / "copy")


def flatten(split: Path) -> None:
    """As competitions hand out images whose labels they keep."""
    for number, path in enumerate(sorted(split.rglob("*.jpg"))):
        path.rename(split / f"{number}.jpg")
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["flat", "data.test_fraction=0", "+trainer.limit_test_batches=0"])
def test_a_run_without_test_images_says_so_and_ends_in_order(
    train: Train, root: Path, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [how] if "=" in how else []
    if how == "flat":
        flatten(root / "test")
    if how == "data.test_fraction=0":
        shutil.rmtree(root / "test")
    (run_dir,) = train("data.root=copy", "plots=auto", *options)
    with (run_dir / "metrics.csv").open() as file:
        best = min(csv.DictReader(file), key=lambda row: float(row["val/loss"]))  # of the penalties
    found, said = results(run_dir), capsys.readouterr().out
    assert found["status"] == "finished"
    assert found["score"] == pytest.approx(float(best["val/accuracy"]))
    assert not [name for name in found["metrics"] if name.startswith("test")]
    assert found["confusion_matrix"] is None
    assert {path.name for path in run_dir.glob("*.png")} == {"history.png", "confusion_matrix.png"}
    assert said.splitlines()[-1] == f"{run_dir.relative_to(Path.cwd())}: val accuracy {float(best['val/accuracy']):.4f}"
    assert ("there are no test images" in said) == (how[0] != "+")
    monkeypatch.setattr(sys, "argv", ["evaluate.py", str(run_dir)])
    with pytest.raises(
        SystemExit, match=r"^error: (there are no test images|trainer.limit_test_batches leaves nothing)"
    ):
        runpy.run_path(str(ROOT / "scripts/evaluate.py"), run_name="__main__")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["flat"], "there are no val images to choose the best epoch by: "),
        (["data.val_fraction=0"], "there are no val images to choose the best epoch by: see data.val_fraction"),
        (["data.val_fraction=0", "data.test_fraction=1"], "there are no train images to train on: "),
        (["+trainer.limit_val_batches=0"], "trainer.limit_val_batches=0 leaves no val images"),
        (["+trainer.limit_train_batches=0.0"], "trainer.limit_train_batches=0.0 leaves no train images"),
        (["+trainer.limit_test_batches=0.1"], "+trainer.limit_test_batches=0.1 of 1 is no whole batch"),
        (["+trainer.limit_val_batches=0.2", "features.cache=false"], "+trainer.limit_val_batches=0.2 of 1 is no"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_can_not_be_trained_or_measured_is_said_before_any_feature_is_computed(
    train: Train, root: Path, options: list[str], message: str
) -> None:
    if options == ["flat"]:
        flatten(root / "val")
    where = "copy/train" if options[0].startswith("data.") else "copy"
    with pytest.raises(SystemExit) as caught:
        train(f"data.root={where}", *[option for option in options if "=" in option])
    assert str(caught.value).startswith(f"error: {message}")
    assert not list(Path("data").glob("features/*.safetensors"))
    assert not list(Path("logs").rglob("metrics.csv"))
