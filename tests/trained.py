"""One tiny run that many tests look at, made once."""

import runpy
import sys
from pathlib import Path

import pytest
from runs import ROOT, TINY

from headstart.resume import trusted


def train_once(folder: Path, images: Path, *overrides: str) -> Path:
    """The folder of a run by the real train.py, which works in `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(trusted, "TYPED", folder / ".typed")
        data = ["data=folder", f"data.root={images}", "logger=none", *TINY, "trainer.max_epochs=1"]
        patch.setattr(sys, "argv", ["train.py", *data, *overrides])
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    (run_dir,) = folder.glob("logs/runs/*")
    return run_dir
