"""Where a sweep's jobs run, by headstart.extras.launchers: its summary is the same, and it can be stopped anywhere."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from runs import ROOT, TINY, Train, assert_equal, composed, outcome, results, signal_at

from headstart.errors import UserError
from headstart.extras.launchers import stopping
from headstart.extras.launchers.stopping import StoppableTask, WaitingJobs, passed_on
from headstart.machine import Interrupted

gpus = pytest.importorskip("headstart.extras.launchers.gpus", reason="an extra", exc_type=ImportError)
pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="an extra")
SWEEP = ["-m", "model.lr=0.01,-1", "seed=1,2", "logger=none"]
LONG = ["-m", "head=mlp", "seed=1,2,3", "patience=1000", "logger=none"]
FORK: Any = multiprocessing.get_context("fork")
NEEDS_RAY = pytest.mark.skipif(not find_spec("ray"), reason="an extra: pip install -e .[ray]")


def overrides(images: Path, *more: str) -> list[str]:
    return ["data=folder", f"data.root={images}", *TINY, *more]


def start(images: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    """Start the real train.py as a user does, in `folder`: what it sends to other processes has to be found there."""
    command = [sys.executable, str(ROOT / "train.py"), *overrides(images, *more)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def summary(sweep: Path) -> list[dict[str, Any]]:
    """What a sweep's jobs came to, but for where."""
    jobs = json.loads((sweep / "sweep.json").read_text())
    return [{name: value for name, value in job.items() if name != "run_dir"} for job in jobs]


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def wanted(images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The summary of the sweep whose jobs run one after another."""
    folder = tmp_path_factory.mktemp("basic")
    process = start(images, folder, *SWEEP, "hydra.sweep.dir=sweep")
    assert process.communicate(timeout=300)[0].count("job failed: the optimizer can't be built") == 2
    return summary(folder / "sweep")


@pytest.fixture
def ray(tmp_path: Path) -> Iterator[str]:
    """A cluster of two nodes with a core each, as processes that were started elsewhere; yields its address."""
    elsewhere, script = tmp_path / "elsewhere", [sys.executable, "-m", "ray.scripts.scripts"]
    elsewhere.mkdir()
    place = TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)  # else Ray notes for all where it was
    quiet = ["--num-cpus=1", "--disable-usage-stats", f"--temp-dir={place.name}"]

    def node(*arguments: str) -> subprocess.Popen[bytes]:
        command = [*script, "start", "--block", *quiet, *arguments]
        return subprocess.Popen(command, cwd=elsewhere, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = [node("--head", f"--port={port}", "--include-dashboard=false")]
    try:
        wait_for(answers)
        nodes.append(node(f"--address=127.0.0.1:{port}"))
        yield f"127.0.0.1:{port}"
    finally:
        for one in reversed(nodes):  # not by ray stop, which would end every cluster of this machine
            one.terminate()
            one.wait(60)
        place.cleanup()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "more"),
    [
        ("joblib", []),
        ("submitit_local", []),
        ("submitit_slurm", ["hydra.launcher.cpus_per_task=1"]),
        pytest.param("ray", ["hydra.launcher.ray.init.address={ray}"], marks=NEEDS_RAY),
    ],
)
def test_a_sweeps_summary_is_the_same_wherever_its_jobs_run(
    images: Path, tmp_path: Path, wanted: list[dict[str, Any]], launcher: str, more: list[str], request: Any
) -> None:
    if launcher == "submitit_slurm":
        request.getfixturevalue("slurm_cluster")
    more = [one.format(ray=request.getfixturevalue("ray") if "{ray}" in one else "") for one in more]
    process = start(images, tmp_path, *SWEEP, "hydra.sweep.dir=sweep", f"hydra/launcher={launcher}", *more)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 1, said
    assert summary(tmp_path / "sweep") == wanted
    assert [job["status"] for job in wanted] == ["finished"] * 2 + ["failed"] * 2
    assert said.count("┃ job ┃ overrides") == 1
    assert "4 jobs, 2 failed" in said
    assert "Traceback" not in said
    logs = [(tmp_path / f"sweep/{job}/train.log").read_text() for job in range(4)]
    assert [log.count("data: 80 images") for log in logs] == [1] * 4
    computed = [line for log in logs for line in log.splitlines() if "computed now in" in line]
    assert len(computed) == 1  # whoever was first, for all


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_stopped_sweep_of_several_jobs_at_once_goes_on_and_none_runs_twice(
    images: Path, tmp_path: Path, name: str
) -> None:
    sweep = tmp_path / "sweep"
    epochs = 60 if name == "SIGTERM" else 250  # what is left behind has to run for longer than a process begins
    told = [*LONG, f"trainer.max_epochs={epochs}", "hydra.sweep.dir=sweep", "hydra/launcher=joblib"]
    process = start(images, tmp_path, *told)
    wait_for(lambda: all((sweep / f"{job}/metrics.csv").exists() for job in range(2)))
    process.send_signal(getattr(signal, name))
    if name == "SIGTERM":
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 143, said
        assert [results(sweep / str(job))["status"] for job in range(2)] == ["interrupted"] * 2
        assert "Traceback" not in said
    assert not (sweep / "2").exists()
    again = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "-m", "resume=sweep"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    assert "3 jobs, 0 failed" in again.stdout
    waited = [(sweep / f"{job}/train.log").read_text().count("waiting for its end") for job in range(2)]
    assert waited == ([1, 1] if name == "SIGKILL" else [0, 0])
    rows = [(sweep / f"{job}/metrics.csv").read_text().splitlines() for job in range(3)]
    assert [len(one) for one in rows] == [epochs + 1] * 3
    process.wait()
    assert process.stdout
    process.stdout.close()


def test_jobs_that_wait_do_not_begin_once_a_signal_came() -> None:
    came: list[int] = []
    jobs = iter(WaitingJobs(["a", "b", "c"], came))
    assert next(jobs) == "a"
    came.append(signal.SIGTERM)
    assert list(jobs) == []


def test_a_signal_is_passed_on_to_the_jobs_and_ends_the_sweep_after_them(tmp_path: Path) -> None:
    def job(ready: Any) -> None:
        def wait(_: object) -> None:
            ready.set()
            time.sleep(30)

        stop = StoppableTask(wait)(None)
        (tmp_path / "signum").write_text(str(stop.signum))

    def sweep() -> None:
        with passed_on() as came:
            process.start()
            assert ready.wait(30)
            os.kill(os.getpid(), signal.SIGUSR1)
            process.join()
            assert came == [signal.SIGUSR1]
            raise RuntimeError  # as joblib does, of a process that was ended while it began

    ready = FORK.Event()
    process = FORK.Process(target=job, args=(ready,))
    with pytest.raises(Interrupted) as caught:
        sweep()
    assert caught.value.code == 128 + signal.SIGUSR1
    assert (tmp_path / "signum").read_text() == str(int(signal.SIGTERM))
    with pytest.raises(RuntimeError), passed_on():
        raise RuntimeError


def test_no_job_begins_in_a_process_in_which_a_signal_ended_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def task(cfg: str) -> str:
        if cfg == "stop":
            raise Interrupted(signal.SIGTERM)
        return cfg

    monkeypatch.setattr(stopping, "_stopped", [])
    stoppable = StoppableTask(task)
    found = [stoppable(cfg) for cfg in ("first", "stop", "second")]
    assert found[0] == "first"
    assert [one.signum for one in found[1:]] == [signal.SIGTERM] * 2


def hold_a_device(place: Path, said: Any) -> None:
    gpus.take_one(["7", "GPU-3"], place)
    said.put((os.environ[gpus.VISIBLE], os.getpid()))
    signal.pause()


def test_each_process_has_a_device_of_its_own_and_more_of_them_wait(tmp_path: Path) -> None:
    said = FORK.Queue()
    processes = [FORK.Process(target=hold_a_device, args=(tmp_path, said), daemon=True) for _ in range(3)]
    for process in processes:
        process.start()
    (one, first), (other, _) = said.get(timeout=30), said.get(timeout=30)
    assert {one, other} == {"7", "GPU-3"}
    time.sleep(0.3)
    assert said.empty()
    os.kill(first, signal.SIGKILL)
    assert said.get(timeout=30)[0] == one
    for process in processes:
        process.kill()
        process.join(30)


def test_the_devices_are_those_of_the_environment_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, devices in (("2, 5", ["2", "5"]), ("0,-1,1", ["0"]), ("", []), ("MIG-a/1/0", ["MIG-a/1/0"]), ("-1", [])):
        monkeypatch.setenv(gpus.VISIBLE, value)
        assert gpus.visible_devices() == devices
    with pytest.raises(UserError, match="finds no GPU: take hydra/launcher=joblib"):
        gpus.GpusLauncher().setup(hydra_context=None, task_function=print, config=None)
    monkeypatch.delenv(gpus.VISIBLE)
    monkeypatch.setattr(gpus, "COUNT", "print(2)")
    assert gpus.visible_devices() == ["0", "1"]
    assert gpus.GpusLauncher().at_once(5) == 2


@pytest.mark.slow
def test_a_sweep_on_devices_gives_each_job_one(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.VISIBLE, "7,5")
    told = ["-m", "seed=1,2,3", "solver=adamw", "logger=none", "project='${oc.env:CUDA_VISIBLE_DEVICES}'"]
    process = start(images, tmp_path, *told, "hydra.sweep.dir=sweep", "hydra/launcher=gpus")
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    seen = [(tmp_path / f"sweep/{job}/.hydra/config.yaml").read_text() for job in range(3)]
    assert [("project: '7'" in config) + ("project: '5'" in config) for config in seen] == [1] * 3
    assert len({"'7'" in config for config in seen}) == 2  # both have had one


@pytest.mark.slow
@pytest.mark.usefixtures("workdir")
def test_a_job_that_its_scheduler_begins_again_goes_on_from_its_checkpoint(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As submitit and SLURM do it, and Ray where a node goes away: the same call in a new process."""
    launch, told = BasicLauncher.launch, ["-m", "head=mlp", "features.batch_size=8", "logger=none"]
    (whole,) = train(*told, "hydra.sweep.dir=logs/sweeps/whole")

    def begun_twice(self: BasicLauncher, jobs: Any, initial_job_idx: int) -> Any:
        with monkeypatch.context() as patch:
            signal_at(patch, 1, 1)
            with pytest.raises(SystemExit):
                launch(self, jobs, initial_job_idx)
        assert results(Path("logs/sweeps/twice/0"))["status"] == "interrupted"
        return launch(self, jobs, initial_job_idx)

    monkeypatch.setattr(BasicLauncher, "launch", begun_twice)
    train(*told, "hydra.sweep.dir=logs/sweeps/twice")
    twice = Path("logs/sweeps/twice/0")
    assert "resuming from logs/sweeps/twice/0/checkpoints/last.ckpt" in (twice / "train.log").read_text()
    assert_equal(outcome(twice), outcome(whole))
    (job,) = summary(Path("logs/sweeps/twice"))
    assert (job["score"], job["status"]) == (results(whole)["score"], "finished")
    assert not any("resume" in one for one in job["overrides"])


@pytest.mark.parametrize("launcher", ["joblib", "gpus", "submitit_slurm", "submitit_local", "ray"])
def test_a_launchers_choice_composes(launcher: str) -> None:
    assert composed(f"hydra/launcher={launcher}").seed == 0
