import json
import sys
from pathlib import Path

import pytest
from processes import Script
from pyarrow import parquet
from runs import TINY, Train


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torch's gloo wants a POSIX host name service")
def test_two_processes_make_one_run(
    cli, train: Train, images: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [override for override in TINY if not override.startswith("trainer.accelerator")]
    done = cli(
        "train.py", "data=folder", f"data.root={images}", *overrides,
        "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "logger=[csv,tensorboard,wandb]",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1
    assert done.stdout.count("data: 80 images") == 1
    assert done.stdout.count("80 of them computed now") == 1
    (run_dir,) = workdir.glob("logs/runs/*")
    found = json.loads((run_dir / "results.json").read_text())
    assert sum(map(sum, found["confusion_matrix"])) == 20  # the test images of both, each counted once
    predictions = parquet.read_table(run_dir / "predictions.parquet")
    assert len((run_dir / "metrics.csv").read_text().splitlines()) == 3
    assert len(list(run_dir.glob("wandb/offline-run-*"))) == 1
    assert {path.name for path in workdir.iterdir()} == {"logs", "data"}
    train("hydra.run.dir=alone", "logger=none")
    assert " 0 of them computed now" in capsys.readouterr().out
    metrics = json.loads((workdir / "alone" / "results.json").read_text())["metrics"]
    assert found["metrics"] == pytest.approx(metrics, rel=1e-4)
    alone = parquet.read_table(workdir / "alone" / "predictions.parquet")
    assert predictions.select(["path", "split", "label"]).equals(alone.select(["path", "split", "label"]))
    for name in predictions.column_names[5:]:
        assert predictions[name].to_pylist() == pytest.approx(alone[name].to_pylist(), abs=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torch's gloo wants a POSIX host name service")
@pytest.mark.parametrize("overrides", [["features.cache=false"], ["head=mlp"]], ids=str)
def test_two_processes_train_live_and_by_gradient_descent(images: Path, workdir: Path, overrides: list[str]) -> None:
    tiny = [override for override in TINY if not override.startswith("trainer.accelerator")]
    devices = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "logger=none"]
    done = Script("train.py", "data=folder", f"data.root={images}", *tiny, *devices, *overrides, cwd=workdir)
    assert done.end() == 0, done.stderr
    (run_dir,) = workdir.glob("logs/runs/*")
    found = json.loads((run_dir / "results.json").read_text())
    assert sum(map(sum, found["confusion_matrix"])) == 20
