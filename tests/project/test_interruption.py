"""Signals: to this process, to one of its own, and to one of two devices' processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from processes import Script
from runs import TINY, Train, assert_equal, go_on, outcome, results, signal_at

LONG = ["trainer.max_epochs=100000", "patience=100000", "logger=none", "hydra.run.dir=run", "solver=adamw"]


def start(images: Path, workdir: Path, *overrides: str) -> Script:
    """Start the real train.py in a process of its own."""
    return Script("train.py", "data=folder", f"data.root={images}", *TINY, *overrides, cwd=workdir)


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def left_by(process: Script) -> tuple[int, str]:
    """The exit code, and what the process said until it ended, within the half minute that schedulers leave it."""
    return process.end(30), process.stdout + process.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_run_with_its_code_and_a_checkpoint(images: Path, workdir: Path, name: str) -> None:
    signum = getattr(signal, name)
    process = start(images, workdir, *LONG)
    wait_for(lambda: (workdir / "run/metrics.csv").exists())
    process.send(signum)
    code, output = left_by(process)
    assert code == 128 + signum
    assert "interrupted: go on with python train.py resume=run" in output
    assert "Traceback" not in output
    found = results(workdir / "run")
    assert (found["status"], found["signal"]) == ("interrupted", name)
    checkpoint = torch.load(workdir / "run/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == found["step"] > 0


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2"])
def test_a_schedulers_signal_does_so_too(train: Train, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    signum = getattr(signal, name)
    signal_at(monkeypatch, 0, 0, signum=signum)
    with pytest.raises(SystemExit) as caught:
        train("head=mlp", "features.batch_size=8", "logger=none", "hydra.run.dir=run")
    assert caught.value.code == 128 + signum
    assert (results(Path("run"))["signal"], results(Path("run"))["step"]) == (name, 1)
    assert Path("run/checkpoints/last.ckpt").exists()


@pytest.mark.slow
def test_before_training_a_signal_ends_the_run_at_once(images: Path, workdir: Path) -> None:
    process = start(images, workdir, *LONG)
    wait_for(lambda: "data:" in process.stdout)
    process.send(signal.SIGTERM)
    code, output = left_by(process)
    assert code == 143
    assert "Traceback" not in output
    assert results(workdir / "run")["status"] == "interrupted"
    assert not (workdir / "run/metrics.csv").exists()


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once() -> None:
    program = (
        "import time; from headstart.resume.signals import StopRequest; request = StopRequest(); "
        "request.deferred = True; "
        "request.listen(); print('ready', flush=True); time.sleep(1); print('still here', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "still here\n"
    process.send_signal(signal.SIGTERM)  # schedulers send several
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    process.stdout.close()


@pytest.mark.slow
def test_workers_leave_signals_to_the_main_process(images: Path, workdir: Path) -> None:
    overrides = ["features.cache=false", "data.num_workers=2", "data.batch_size=8"]
    process = start(images, workdir, *LONG, *overrides)
    wait_for(lambda: (workdir / "run/metrics.csv").exists())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    for pid in children:
        os.kill(int(pid), signal.SIGINT)
        os.kill(int(pid), signal.SIGTERM)
    rows = len((workdir / "run/metrics.csv").read_text().splitlines())
    wait_for(lambda: len((workdir / "run/metrics.csv").read_text().splitlines()) > rows + 2)
    process.send(signal.SIGTERM)
    assert left_by(process)[0] == 143


@pytest.mark.slow
@pytest.mark.parametrize("signalled", [0, 1])
def test_of_two_processes_one_is_signalled_and_both_leave(images: Path, workdir: Path, signalled: int) -> None:
    process = start(images, workdir, *LONG, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    wait_for(lambda: (workdir / "run/metrics.csv").exists())
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (other,) = [pid for pid in pids if "train.py" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill([process.pid, int(other)][signalled], signal.SIGTERM)
    code, output = left_by(process)
    assert code == 143, output
    wait_for(lambda: not Path(f"/proc/{other}").exists(), 10)
    assert results(workdir / "run")["status"] == "interrupted"
    assert len(list((workdir / "run/checkpoints").glob("last*.ckpt"))) == 1
    assert "Traceback" not in output


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was_stopped(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["seed=1,2,3", "head=mlp", "features.batch_size=8", "trainer.max_epochs=2", "logger=none", "-m"]
    train(*options, "hydra.sweep.dir=logs/sweeps/whole")
    wanted = [outcome(Path(f"logs/sweeps/whole/{job}")) for job in range(3)]
    sweep = Path("logs/sweeps/stopped")
    with monkeypatch.context() as patch:
        signal_at(patch, 1, 2, in_folder="1")
        with pytest.raises(SystemExit) as caught:
            train(*options, f"hydra.sweep.dir={sweep}")
    assert caught.value.code == 143
    assert [results(sweep / job)["status"] for job in "01"] == ["finished", "interrupted"]
    assert not (sweep / "2").exists()
    first = (sweep / "0/results.json").stat().st_mtime_ns
    go_on(monkeypatch, "-m", "resume=latest")
    assert (sweep / "0/results.json").stat().st_mtime_ns == first
    assert_equal([outcome(sweep / str(job)) for job in range(3)], wanted)
    scores = [job["score"] for job in json.loads((sweep / "sweep.json").read_text())]
    assert scores == [results(sweep / str(job))["score"] for job in range(3)]
    with pytest.raises(SystemExit, match="2 of 2 jobs failed"):
        go_on(monkeypatch, "-m", f"resume={sweep}", "seed=7,8")


@pytest.mark.slow
def test_a_bug_ends_the_workers_too(workdir: Path) -> None:
    program = (
        "from headstart.images.loading import Loading; loading = Loading(num_workers=2, batch_size=1);"
        "batches = iter(loading.loader(range(99), 'cpu', batch_size=1)); next(batches); 1 / 0"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=workdir, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
