import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import Script
from pyarrow import parquet
from runs import ROOT, TINY, Train, results

from headstart import load
from headstart.errors import UserError
from headstart.ranks import refuse_other_count
from headstart.resume.own_folder import OwnFolder

LIVE = ["features.cache=false", "solver=adamw", "model.lr=0.1", "data.batch_size=16"]


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
    assert not re.search("deprecated|recommended", done.stderr), done.stderr
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
@pytest.mark.parametrize("overrides", [LIVE, ["head=mlp"]], ids=str)
def test_two_processes_train_live_and_by_gradient_descent(
    train: Train, images: Path, workdir: Path, overrides: list[str]
) -> None:
    tiny = [override for override in TINY if not override.startswith("trainer.accelerator")]
    devices = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "logger=none"]
    done = Script("train.py", "data=folder", f"data.root={images}", *tiny, *devices, *overrides, cwd=workdir)
    assert done.end() == 0, done.stderr
    (run_dir,) = workdir.glob("logs/runs/*")
    found = json.loads((run_dir / "results.json").read_text())
    assert sum(map(sum, found["confusion_matrix"])) == 20
    if overrides == LIVE:  # by dropout each device's head learns otherwise
        train("hydra.run.dir=alone", *overrides)
        alone = results(workdir / "alone")["metrics"]
        assert found["metrics"]["test/loss"] == pytest.approx(alone["test/loss"], rel=2e-4)


def started_outside(how: str, *arguments: str, workdir: Path) -> str:
    """Run train.py in two processes as torchrun or srun starts them: all at once, with the same command line."""
    train = [str(ROOT / "train.py"), *arguments]
    if how == "torchrun":
        agent = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *train]
        starts = [(agent, {})]
    else:
        job = {"JOB_ID": "4711", "JOB_NAME": "train", "NODELIST": "localhost", "NODEID": "0", "NNODES": "1"}
        job |= dict.fromkeys(("NTASKS", "NTASKS_PER_NODE", "STEP_NUM_TASKS"), "2")
        tasks = [job | {"PROCID": str(task), "LOCALID": str(task)} for task in range(2)]
        starts = [
            ([sys.executable, *train], {f"SLURM_{name}": value for name, value in task.items()}) for task in tasks
        ]
    options = {"cwd": workdir, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(command, env=os.environ | extra, **options) for command, extra in starts]
    said = "".join(process.communicate(timeout=240)[0] for process in processes)
    assert not any(process.returncode for process in processes), said
    return said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torch's gloo wants a POSIX host name service")
@pytest.mark.parametrize("how", ["torchrun", "srun"])
def test_processes_that_others_start_make_one_run(images: Path, workdir: Path, how: str) -> None:
    tiny = [override for override in TINY if not override.startswith("trainer.accelerator")]
    devices = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "logger=none"]
    said = started_outside(how, "data=folder", f"data.root={images}", *tiny, *devices, workdir=workdir)
    assert said.count("test accuracy") == 1
    assert said.count("80 of them computed now") == 1
    (run_dir,) = workdir.glob("logs/runs/*")
    assert [path.name for path in run_dir.glob("*.log")] == ["train.log"]
    assert sum(map(sum, results(run_dir)["confusion_matrix"])) == 20
    assert {path.name for path in workdir.iterdir()} == {"logs", "data"}


def test_others_started_too_many_processes_or_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="each process would run the whole sweep"):
        OwnFolder().on_multirun_start(None)  # pyright: ignore[reportArgumentType]
    trainer = type("Trainer", (), {"num_devices": 1, "num_nodes": 1})
    with pytest.raises(UserError, match="2 processes were started, and the trainer is for 1"):
        refuse_other_count(trainer)  # pyright: ignore[reportArgumentType]
    trainer.num_devices = 2  # pyright: ignore[reportAttributeAccessIssue]
    refuse_other_count(trainer)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torch's gloo wants a POSIX host name service")
def test_a_model_in_parts_trains_as_a_whole_one(images: Path, workdir: Path) -> None:
    tiny = [override for override in TINY if not override.startswith(("trainer.accelerator", "plots"))]
    told = ["data=folder", f"data.root={images}", *tiny, "strategy=lp_ft", "trainer.precision=32-true"]
    for kind in ("ddp", "fsdp"):
        devices = [f"trainer={kind}", "trainer.accelerator=cpu", "trainer.devices=2", f"hydra.run.dir={kind}"]
        done = Script("train.py", *told, *devices, cwd=workdir)
        assert done.end() == 0, done.stderr
    whole, parts = (results(workdir / kind) for kind in ("ddp", "fsdp"))
    assert parts["metrics"] == pytest.approx(whole["metrics"], rel=1e-3)
    assert sum(map(sum, parts["confusion_matrix"])) == 20
    states = [torch.load(workdir / f"{kind}/checkpoints/best.ckpt", weights_only=True) for kind in ("ddp", "fsdp")]
    shapes = [{name: value.shape for name, value in state["state_dict"].items()} for state in states]
    assert shapes[0] == shapes[1]
    assert load(workdir / "fsdp").predict([str(next(images.glob("test/red/*.jpg")))])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["strategy=frozen", "trainer.accelerator=cpu"], "trainer=fsdp is for a backbone that is trained from the fi"),
        (["strategy=gradual", "trainer.accelerator=cpu"], "trainer=fsdp is for a backbone that is trained from the fi"),
        (["strategy=finetune", "trainer.accelerator=gpu"], "there is no GPU that PyTorch can use"),
    ],
)
def test_what_a_model_in_parts_is_not_for(train: Train, overrides: list[str], said: str) -> None:
    if "trainer.accelerator=gpu" in overrides and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit, match=f"^error: {said}"):
        train("trainer=fsdp", *overrides)
