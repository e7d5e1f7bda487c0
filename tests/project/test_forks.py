"""A sweep's jobs in forked processes, of headstart.extras.launchers: as if they ran one after another, but sooner."""

import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from processes import Script
from runs import TINY, Train, results

from headstart.extras.launchers.forks import ForksLauncher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
FORKS = ("-m", "hydra/launcher=forks", "logger=none", "hydra.sweep.dir=sweep")


@pytest.mark.slow
def test_jobs_come_to_the_same_and_those_that_fail_are_told(images: Path, workdir: Path, train: Train) -> None:
    told = ["data=folder", f"data.root={images}", *TINY, "model.lr=0.01,-1", "seed=1,2"]
    script = Script("train.py", *told, *FORKS, cwd=workdir)
    assert script.end() == 1, script.stderr
    jobs = json.loads((workdir / "sweep" / "sweep.json").read_text())
    assert [job["status"] for job in jobs] == ["finished"] * 2 + ["failed"] * 2
    assert "4 jobs, 2 failed" in script.stdout
    first = [line for line in script.stdout.splitlines() if line.startswith("\t#")]
    assert [line.split()[0] for line in first[:1]] == ["#0"]
    assert sorted(line.split()[0] for line in first) == ["#0", "#1", "#2", "#3"]
    logs = [(workdir / "sweep" / str(job) / "train.log").read_text() for job in range(2)]
    assert ["80 of them computed now" in log for log in logs] == [True, False]
    train("model.lr=0.01", "seed=2", "logger=none", "hydra.run.dir=alone")
    assert results(Path("alone"))["metrics"] == pytest.approx(results(workdir / "sweep" / "1")["metrics"], rel=1e-4)


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_where_its_jobs_were(images: Path, workdir: Path) -> None:
    told = ["data=folder", f"data.root={images}", *TINY, "head=mlp", "trainer.max_epochs=60", "patience=999"]
    sweep, cores = workdir / "sweep", len(os.sched_getaffinity(0))
    running = range(1, 1 + cores)
    script = Script("train.py", *told, *FORKS, f"seed={','.join(map(str, range(cores + 3)))}", cwd=workdir)
    while not all((sweep / str(job) / "metrics.csv").exists() for job in running) and script.process.is_alive():
        time.sleep(0.05)
    script.send(signal.SIGTERM)
    assert script.end() == 143, script.stderr
    ended = {results(sweep / str(job))["status"] for job in running}
    assert "interrupted" in ended
    assert ended <= {"interrupted", "finished"}  # on a busy machine, one may be through before the other has begun
    assert not (sweep / str(cores + 2)).exists()
    again = Script("train.py", "-m", "resume=sweep", cwd=workdir)
    assert again.end() == 0, again.stdout + again.stderr
    assert f"{cores + 3} jobs, 0 failed" in again.stdout
    rows = [(sweep / str(job) / "metrics.csv").read_text().splitlines() for job in range(cores + 3)]
    assert [len(one) for one in rows] == [61] * (cores + 3)
    assert (sweep / "0" / "train.log").read_text().count("has ended with") == 1


@pytest.mark.slow
def test_a_process_that_was_killed_is_said_in_a_line(images: Path, workdir: Path) -> None:
    told = ["data=folder", f"data.root={images}", *TINY, "head=mlp", "trainer.max_epochs=9999", "patience=9999"]
    script = Script("train.py", *told, *FORKS, "seed=1,2", cwd=workdir)
    while not (workdir / "sweep/0/metrics.csv").exists() and script.process.is_alive():
        time.sleep(0.05)
    for path in Path("/proc").glob("[0-9]*/stat"):
        if path.read_text().rpartition(")")[2].split()[1] == str(script.pid):
            os.kill(int(path.parent.name), signal.SIGKILL)
            break
    assert script.end() == 1
    assert script.stderr.startswith("error: a job's process was killed, maybe as there was no memory left: go on with ")
    assert "Traceback" not in script.stderr


def test_it_is_for_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(ValueError, match="hydra/launcher=forks is for Linux: take hydra/launcher=joblib"):
        ForksLauncher(2, []).setup(hydra_context=None, task_function=print, config=None)
