"""What docs/notebook.ipynb does, cell by cell; and a run that is made without a command line."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
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
