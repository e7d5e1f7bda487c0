"""Jobs of a sweep on several devices, each in processes of its own."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from copies import copy_of_the_project, run
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from processes import Script
from runs import TINY, outcome, results

from headstart.errors import UserError
from headstart.resume import job_processes
from headstart.resume.job_processes import train_in_processes
from headstart.resume.signals import Interrupted, StopRequest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torch's gloo wants a POSIX host name service")
SMALL = [override for override in TINY if not override.startswith(("trainer.accelerator", "trainer.max_epochs"))]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "logger=none"]
DRAWN = """
import random
from omegaconf import OmegaConf
OmegaConf.register_resolver("draw", lambda: random.SystemRandom().random() / 10)
"""
NOTE = """
from pathlib import Path
from lightning.pytorch import Callback

class NoteSmoothing(Callback):
    def on_train_start(self, trainer, pl_module):
        name = f"{trainer.global_rank} of {trainer.world_size}"
        Path(trainer.default_root_dir, name).write_text(str(pl_module.label_smoothing))
"""


@pytest.mark.slow
def test_all_processes_of_a_job_train_with_what_was_drawn_once(tmp_path: Path, images: Path) -> None:
    project = copy_of_the_project(tmp_path)
    with (project / "src/project/__init__.py").open("a") as file:
        file.write(DRAWN)  # each process draws for itself, and as nothing seeds it, always something else
    (project / "src/project/callbacks/note.py").write_text(NOTE)
    (project / "conf/callbacks/note.yaml").write_text("note: {_target_: project.callbacks.note.NoteSmoothing}\n")
    overrides = [f"data.root={images}", *SMALL, "model.label_smoothing=${draw:}", "callbacks=[default,note]"]
    train = ["train.py", "data=folder", *overrides, *TWO, "trainer.max_epochs=1"]
    said = run(project, *train, "-m", "trainer.devices=1,2", "hydra.sweep.dir=sweep")
    assert "2 jobs, 0 failed" in said
    assert said.count("test accuracy") == 2
    drawn: list[set[str]] = []
    for job, names in enumerate((["0 of 1"], ["0 of 2", "1 of 2"])):
        folder = project / f"sweep/{job}"
        assert sorted(path.name for path in folder.glob("* of *")) == names
        drawn.append({(folder / name).read_text() for name in names})
        assert [path.name for path in folder.glob("*.log")] == ["train.log"]
        assert sum(map(sum, results(folder)["confusion_matrix"])) == 20
    assert [len(one) for one in drawn] == [1, 1]
    assert drawn[0] != drawn[1]


@pytest.mark.slow
def test_a_signal_is_theirs_and_the_sweep_goes_on_exactly(images: Path, workdir: Path) -> None:
    told = ["data=folder", f"data.root={images}", *SMALL, *TWO, "solver=adamw", "features.batch_size=8"]
    long = ["trainer.max_epochs=40", "patience=100"]
    whole = Script("train.py", *told, *long, "hydra.run.dir=whole", cwd=workdir)
    assert whole.end() == 0, whole.stderr
    sweep = Script("train.py", "-m", *told, *long, "model.lr=-1,0.004", "hydra.sweep.dir=sweep", cwd=workdir)
    end = time.monotonic() + 120
    while not (workdir / "sweep/1/metrics.csv").exists():
        assert time.monotonic() < end, sweep.stderr
        time.sleep(0.02)
    sweep.send(signal.SIGTERM)
    assert sweep.end(60) == 128 + signal.SIGTERM
    assert "interrupted: go on with python train.py -m resume=sweep" in sweep.stdout
    found = results(workdir / "sweep/1")
    assert (found["status"], found["signal"]) == ("interrupted", "SIGTERM")
    assert 0 < found["step"] < 200
    again = Script("train.py", "-m", "resume=sweep", cwd=workdir)
    assert again.end() == 1
    assert "2 jobs, 1 failed" in again.stdout
    first, second = json.loads((workdir / "sweep/sweep.json").read_text())
    assert first["error"].startswith("the optimizer can't be built with model.lr=-1 ")
    assert second["score"] == results(workdir / "sweep/1")["score"]
    assert outcome(workdir / "sweep/1")["metrics"] == outcome(workdir / "whole")["metrics"]
    assert outcome(workdir / "sweep/1")["curve"] == outcome(workdir / "whole")["curve"]


def a_job(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> StopRequest:
    """The folder of a job whose process does this instead."""
    (folder / ".hydra").mkdir()
    for name in ("config.yaml", "overrides.yaml"):
        (folder / ".hydra" / name).write_text("[]" if name == "overrides.yaml" else "seed: 1")
    hydra = OmegaConf.create({"hydra": {"overrides": {"task": []}}}, flags={"readonly": True})
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra.hydra)
    monkeypatch.setattr(job_processes, "_command", lambda *_: [sys.executable, "-c", program])
    return StopRequest()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "its processes were ended by SIGKILL, for too little memory maybe"),
        ("import sys; sys.exit(3)", r"its processes ended with exit code 3: .*train\.log holds what they said"),
        ("pass", "its processes ended with exit code 0"),
    ],
)
def test_processes_that_tell_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str) -> None:
    request = a_job(tmp_path, monkeypatch, program)
    (tmp_path / "results.json").write_text('{"status": "failed", "error": "of before"}')
    with pytest.raises(UserError, match=said):
        train_in_processes(str(tmp_path), str(tmp_path), request)


def test_a_signal_that_comes_before_they_can_hear_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = f"import os, time; os.kill({os.getpid()}, {int(signal.SIGUSR1)}); time.sleep(60)"
    request = a_job(tmp_path, monkeypatch, program)
    before = signal.getsignal(signal.SIGUSR1)
    request.listen()
    try:
        with pytest.raises(Interrupted) as caught:
            train_in_processes(str(tmp_path), str(tmp_path), request)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value.code == 128 + signal.SIGUSR1
