"""What docs/cluster.md says of SLURM: with a SLURM of one's own where there is one, and with what it says elsewhere."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runs import DELETED, ROOT, TINY, Train, assert_equal, outcome, results, signal_at

DOC = (ROOT / "docs/cluster.md").read_text()
COMMANDS = [line for line in DOC.splitlines() if line.startswith(("sbatch ", "python "))]
SCRIPT = DOC.split("```bash\n")[1].partition("```")[0]
ONE, ARRAY, SWEEP, RESUME = COMMANDS
EPOCHS = "trainer.max_epochs=150"
OURS = ["head=mlp", EPOCHS, "patience=1000", "logger=none"]


def test_the_commands_are_those_that_are_tested() -> None:
    assert ONE.startswith("sbatch job.sh data=folder data.root=PATH")
    assert ARRAY.startswith("sbatch --array=0-7 ")
    assert "hydra/launcher=submitit_slurm" in SWEEP
    assert RESUME.split("#")[0].split() == ["python", "train.py", "-m", "resume=latest"]
    assert re.search(r"^srun python train.py", SCRIPT, re.MULTILINE)


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of SLURM, as far as its environment goes; returns the file that notes what scontrol is told."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/scontrol"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n[ ! -e {tmp_path}/no ] || {{ echo no >&2; exit 1; }}\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    return tmp_path / "told"


TOLD = ("head=mlp", "features.batch_size=8", "logger=none")


@pytest.mark.slow
@pytest.mark.parametrize("in_sweep", [False, True])
def test_what_is_begun_again_goes_on_in_its_own_folder(
    train: Train, monkeypatch: pytest.MonkeyPatch, scontrol: Path, in_sweep: bool
) -> None:
    flags = ["-m"] * in_sweep
    whole = train(*flags, *TOLD, "hydra.run.dir=logs/whole", "hydra.sweep.dir=logs/whole")[0]
    with monkeypatch.context() as patch:
        signal_at(patch, 1, 1, signum=signal.SIGUSR1)
        with pytest.raises(SystemExit) as caught:
            train(*flags, *TOLD)
    assert caught.value.code == 128 + signal.SIGUSR1
    assert scontrol.read_text() == "requeue 7\n"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    train(*flags, *TOLD)
    (again,) = Path("logs").glob("sweeps/*/0" if in_sweep else "runs/*")
    assert "resuming from" in (again / "train.log").read_text()
    assert_equal(outcome(again), outcome(whole))
    train(*flags, *TOLD, "seed=1")  # another command of the same job
    assert len(list(Path("logs").glob("sweeps/*" if in_sweep else "runs/*"))) == 2


@pytest.mark.parametrize(("name", "told"), [("SIGTERM", ""), ("SIGUSR2", "requeue 70_3\n")])
def test_only_what_asks_for_it_puts_a_job_back(
    train: Train, monkeypatch: pytest.MonkeyPatch, scontrol: Path, name: str, told: str
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    (scontrol.parent / "no").touch()
    signal_at(monkeypatch, 0, 0, signum=getattr(signal, name))
    with pytest.raises(SystemExit):
        train(*TOLD)
    assert (scontrol.read_text() if scontrol.exists() else "") == told
    (log,) = Path("logs").glob("runs/*/train.log")
    assert ("SLURM won't do job 70_3 again: no" in log.read_text()) is bool(told)


def slurm(*command: str) -> str:
    """What a command of SLURM says; scancel says an error when its signal has put the job back already."""
    return subprocess.run(command, check=command[0] != "scancel", capture_output=True, text=True).stdout


def wait_for(condition: Callable[[], Any], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it never came; {slurm('squeue', '-r')}"
        time.sleep(0.3)


def left(job: str, state: str = "") -> list[str]:
    """A job's parts that wait or run."""
    command = ["squeue", "-h", "-r", "-o", "%i", "-j", job, *(["-t", state] if state else [])]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def send(folder: Path, images: Path, command: str, *more: str) -> str:
    """Give a line of docs/cluster.md to SLURM, or to a shell, as it stands there but for what is trained on."""
    data = f"data=folder data.root={images} {' '.join((*TINY, *OURS, *more))}"
    program = f"{sys.executable} {ROOT / 'train.py'}"
    smaller = {"python train.py": program, "data=folder data.root=PATH": data, "cpus-per-task=8": "cpus-per-task=1"}
    smaller |= {"cpus_per_task=8": "cpus_per_task=1", "seed=": f"{data} seed=", "seed=1,2,3,4": f"{data} seed=1,2,3,4"}

    def here(text: str) -> str:
        pattern = "|".join(map(re.escape, sorted(smaller, key=len, reverse=True)))
        return re.sub(pattern, lambda found: smaller[found[0]], text)

    (folder / "job.sh").write_text(here(SCRIPT))
    line = here(command.split("   ")[0])
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def begin_now(job: str) -> None:
    """Spare a job that was put back the two minutes that SLURM lets it wait."""
    wait_for(lambda: left(job, "PENDING"))
    slurm("scontrol", "update", f"JobId={job}", "StartTime=now")


@pytest.mark.usefixtures("slurm_cluster")
@pytest.mark.slow
def test_a_run_that_is_preempted_twice_comes_to_the_same(images: Path, tmp_path: Path) -> None:
    def rows() -> int:
        return sum(len(path.read_text().splitlines()) for path in tmp_path.glob("logs/runs/*/metrics.csv"))

    whole = send(tmp_path, images, ONE, "hydra.run.dir=whole")
    job = send(tmp_path, images, ONE)
    wait_for(lambda: rows() > 5)
    slurm("scancel", "--signal=USR1", job)
    begin_now(job)
    before = rows()
    wait_for(lambda: rows() > before + 5)
    slurm("scontrol", "requeue", job)
    begin_now(job)
    wait_for(lambda: not left(job) and not left(whole))
    (run,) = tmp_path.glob("logs/runs/*")
    said = (tmp_path / f"slurm-{job}.out").read_text()
    assert said.count("resuming from") == 2, said
    assert f"job {job} is in SLURM's queue again" in said
    assert_equal(outcome(run), outcome(tmp_path / "whole"))


@pytest.mark.usefixtures("slurm_cluster")
@pytest.mark.slow
def test_an_array_that_begins_in_one_second_has_a_folder_for_each(images: Path, tmp_path: Path) -> None:
    job = send(tmp_path, images, ARRAY, "trainer.max_epochs=2", "hydra.run.dir=logs/runs/same")
    wait_for(lambda: not left(job))
    runs = list(tmp_path.glob("logs/runs/*"))
    seeds = {re.search(r"^seed: (\d)", (run / ".hydra/config.yaml").read_text(), re.MULTILINE)[1] for run in runs}  # pyright: ignore
    assert sorted(seeds) == list("01234567")
    assert [results(run)["status"] for run in runs] == ["finished"] * 8


@pytest.mark.usefixtures("slurm_cluster")
@pytest.mark.slow
@pytest.mark.skipif("hydra/launcher=submitit_slurm" in DELETED, reason="its extra is deleted")
def test_a_sweep_whose_jobs_are_preempted_and_whose_process_is_killed_is_complete(images: Path, tmp_path: Path) -> None:
    """Four jobs; one is asked to save, one put back by SLURM, and the sweep's own process is killed and begun again."""
    told = "trainer.max_epochs=800 hydra.sweep.dir=logs/sweeps/one"
    pid = int(send(tmp_path, images, f"{SWEEP.split('   ')[0]} {told} >sweep.log 2>&1 & echo $!"))
    sweep = tmp_path / "logs/sweeps/one"
    wait_for(lambda: sum((sweep / f"{job}/metrics.csv").exists() for job in range(4)) == 2)
    (pickle,) = sweep.glob(".submitit/*_0/*_submitted.pkl")
    job = pickle.parent.name.removesuffix("_0")
    slurm("scontrol", "requeue", f"{job}_1")
    slurm("scancel", "--signal=USR2", f"{job}_0")
    os.kill(pid, signal.SIGKILL)
    for part in (0, 1):
        begin_now(f"{job}_{part}")
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *RESUME.split("#")[0].split()[2:]],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 jobs, 0 failed" in done.stdout
    logs = [(sweep / f"{part}/train.log").read_text() for part in range(4)]
    rows = [len((sweep / f"{part}/metrics.csv").read_text().splitlines()) for part in range(4)]
    assert rows == [801] * 4
    assert all("resuming from" in log for log in logs[:2])
    assert all("has ended with" in log for log in logs)  # what the second array found
