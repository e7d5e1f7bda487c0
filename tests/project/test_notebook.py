"""What docs/notebook.ipynb does, cell by cell; and a run that is made without a command line."""

import json
import logging
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from omegaconf.errors import ReadonlyConfigError
from runs import ROOT, TINY, results

from headstart.errors import UserError
from project import notebook

pytestmark = pytest.mark.slow
CELLS = json.loads((ROOT / "docs/notebook.ipynb").read_text())["cells"]


def test_the_notebook_runs_from_its_first_cell_to_its_last(
    workdir: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("data=folder", f"data.root={images}", *TINY)
    compose = notebook.compose
    monkeypatch.setattr(notebook, "compose", lambda *overrides: compose(*overrides, *few))
    monkeypatch.setattr("headstart.errors.PROJECT_DIR", workdir)
    said_by_signals, names = signal.getsignal(signal.SIGINT), {}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    run_dir = Path(names["cfg"].run_dir)
    assert results(run_dir)["score"] == names["score"]
    assert results(run_dir)["command"].startswith("python train.py trainer.max_epochs=10")
    assert (run_dir / ".hydra" / "overrides.yaml").exists()
    assert signal.getsignal(signal.SIGINT) is said_by_signals  # a kernel is interrupted by it
    last = capsys.readouterr().out.splitlines()[-4:]
    assert sum(float(line.split()[0]) for line in last[:3]) <= 1
    assert last[3].split()[-1] in names["model"].classes
    ((predicted, _),) = names["predictor"].predict(names["path"])
    assert predicted == names["model"].classes[names["probabilities"].argmax()]


@pytest.mark.usefixtures("workdir")
def test_a_config_is_composed_and_not_edited() -> None:
    cfg = notebook.compose("seed=3", "data.root=~/a b")
    assert (cfg.seed, cfg.data.root) == (3, str(Path("~/a b").expanduser()))
    with pytest.raises(ReadonlyConfigError):
        cfg.trainer.max_epochs = 1
    with pytest.raises(UserError, match=r"did you mean max_epochs"):
        notebook.compose("+trainer.max_epoch=3")
    with pytest.raises(UserError, match="call train in a loop"):
        notebook.compose("-m", "seed=1,2")
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/mine.yaml").write_text("# @package _global_\nseed: 7\n")
    assert notebook.compose("--config-dir=own", "experiment=mine").seed == 7


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["heda=mlp"], "there is no heda in the config; did you mean head?"),
        (["backbone=resnet5"], "did you mean resnet50?"),
        (["data=folder", "data.root=${oc.env:NO_SUCH}"], "data.root takes the environment's NO_SUCH"),
        (["head._target_=os.system"], "isn't trusted"),
        (["--help"], "--help is for the command line"),
        (["--cfg", "job"], "--cfg is for the command line"),
        ([["seed=1", "head=mlp"]], 'say each by itself, as in compose("seed=1", "head=mlp")'),
    ],
)
def test_a_mistake_is_told_as_the_command_line_tells_it(overrides: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        notebook.compose(*overrides)
    assert "\n" not in str(caught.value)
    assert caught.value._render_traceback_() == [f"error: {caught.value}"]  # which IPython asks for


@pytest.mark.usefixtures("workdir")
def test_every_run_has_a_folder_of_its_own_and_leaves_signals_and_logging_alone(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["data=folder", f"data.root={images}", *TINY, "logger=none", "trainer.max_epochs=1"]
    mine = logging.StreamHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [mine])
    first, second = notebook.compose(*few, "hydra.run.dir=run"), notebook.compose(*few, "hydra.run.dir=run", "seed=1")
    assert notebook.train(first) == results(Path("run"))["score"]
    assert logging.getLogger().handlers == [mine]
    answers: list[float] = []
    thread = threading.Thread(target=lambda: answers.append(notebook.train(second)))
    thread.start()
    thread.join()
    assert "there is a run in run: this one goes to run_2" in capsys.readouterr().out
    assert (first.run_dir, second.run_dir) == ("run", "run_2")
    assert answers == [results(Path("run_2"))["score"]]
    assert "seed=1" not in results(Path("run"))["command"]
    goes_on = notebook.compose("resume=run", "trainer.max_epochs=2")
    with FileLock("run/.hydra/lock"), pytest.raises(UserError, match="run is still running"):
        notebook.train(goes_on)
    notebook.train(goes_on)
    assert len(Path("run/metrics.csv").read_text().splitlines()) == 3
    with pytest.raises(UserError, match="train takes what compose"):
        notebook.train({"seed": 1})  # pyright: ignore[reportArgumentType]


@pytest.mark.usefixtures("workdir")
def test_a_mistake_in_a_run_is_raised_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="there is no folder /nowhere"):
        notebook.train(notebook.compose("data=folder", "data.root=/nowhere"))
    assert not capfd.readouterr().err


def test_train_py_is_imported_without_doing_anything(workdir: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import train; print('torch' in sys.modules, train.main)"
    done: Any = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False <function main")
    assert not done.stderr
    assert not list(workdir.iterdir())
