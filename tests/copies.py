"""A copy of the project, in which a test does what an owner would do."""

import shutil
import subprocess
import sys
from pathlib import Path

from runs import ROOT

LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info")


def copy_of_the_project(folder: Path) -> Path:
    """Everything but the virtual environment and what runs left behind."""
    for name in ("src", "conf", "scripts", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OUT)
    for path in ROOT.iterdir():
        if path.is_file() and not path.is_symlink():
            shutil.copy(path, folder)
    return folder


def run(project: Path, *arguments: str) -> str:
    """Run Python in the copy, and return what it printed; it must end with 0."""
    environment = {
        "PYTHONPATH": str(project / "src"),
        "PATH": "/usr/bin:/bin",
        "HOME": str(project),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run([sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
