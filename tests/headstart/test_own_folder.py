"""Every run and every sweep has a folder of its own, and a run that has not ended is not gone on with."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import Train, go_on

from headstart.errors import UserError
from headstart.resume.own_folder import claim, held

FORK: Any = multiprocessing.get_context("fork")


def claim_at_once(barrier: Any, answers: Any) -> None:
    barrier.wait()
    answers.put(str(claim(Path("logs/run"))))


@pytest.mark.usefixtures("workdir")
def test_of_many_who_want_one_folder_at_once_each_gets_its_own() -> None:
    barrier, answers = FORK.Barrier(8), FORK.Queue()
    processes = [FORK.Process(target=claim_at_once, args=(barrier, answers)) for _ in range(8)]
    for process in processes:
        process.start()
    found = {answers.get(timeout=30) for _ in processes}
    assert found == {"logs/run", *(f"logs/run_{number}" for number in range(2, 9))}
    for process in processes:
        process.join()


def hold(folder: Path, connection: Any) -> None:
    with held(folder):
        child = FORK.Process(target=signal.pause, daemon=True)  # as a DataLoader's worker, which may live longer
        child.start()
        connection.send(child.pid)
        signal.pause()


def test_a_killed_run_lets_go_at_once(tmp_path: Path) -> None:
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=hold, args=(tmp_path, theirs))
    process.start()
    worker = ours.recv()
    with pytest.raises(UserError, match="is still running: wait for its end, or stop it"), held(tmp_path):
        pass
    process.kill()
    process.join()
    with held(tmp_path):
        pass
    os.kill(worker, signal.SIGKILL)


@pytest.mark.slow
def test_a_second_run_goes_elsewhere_and_resume_waits_for_the_end(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run").mkdir()  # an empty folder is nobody's
    for seed in 1, 2:
        train(f"seed={seed}", "hydra.run.dir=run", "trainer.max_epochs=1", "logger=none")
    assert "run is another one's: this goes to run_2" in capsys.readouterr().out
    for seed, folder in (1, "run"), (2, "run_2"):
        assert yaml.safe_load(Path(folder, ".hydra/config.yaml").read_text())["seed"] == seed
        assert len(Path(folder, "metrics.csv").read_text().splitlines()) == 2
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=hold, args=(Path("run").absolute(), theirs))
    process.start()
    worker = ours.recv()
    before = sorted(Path("run").rglob("*"))
    with pytest.raises(SystemExit, match=r"^error: run is still running"):
        go_on(monkeypatch, "resume=run", "trainer.max_epochs=2")
    assert sorted(Path("run").rglob("*")) == before
    process.kill()
    process.join()
    os.kill(worker, signal.SIGKILL)
    monkeypatch.chdir("run")
    with pytest.raises(SystemExit, match=r"^error: there is a run in \. already"):
        train("hydra.run.dir=.")


@pytest.mark.slow
def test_so_does_a_second_sweep_and_its_jobs_do_not_share_a_folder(train: Train) -> None:
    for seed in 1, 2:
        train("-m", f"seed={seed}", "hydra.sweep.dir='a sweep (1)'", "trainer.max_epochs=1", "logger=none")
    for seed, folder in (1, "a sweep (1)"), (2, "a sweep (1)_2"):
        (job,) = json.loads(Path(folder, "sweep.json").read_text())
        assert f"seed={seed}" in job["overrides"]
        assert job["run_dir"] == str(Path(folder, "0").absolute())
    with pytest.raises(SystemExit, match="1 of 2 jobs failed"):
        train("-m", "seed=1,2", "hydra.sweep.dir=one", "hydra.sweep.subdir=same", "trainer.max_epochs=1", "logger=none")
    assert yaml.safe_load(Path("one/same/.hydra/config.yaml").read_text())
