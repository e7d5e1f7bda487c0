"""CONTRIBUTING.md's four lists, done in a copy of the project."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from copies import copy_of_the_project, run
from runs import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILES = re.findall(r"```\w+\n# (\S+)\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = re.findall(r"`python train.py ([^`]+)`", TEXT)


@pytest.mark.slow
def test_the_lists_can_be_followed(tmp_path: Path, images: Path) -> None:
    project = copy_of_the_project(tmp_path / "project")
    for path, content in FILES:
        assert not (project / path).exists()
        (project / path).write_text(content)
    flat = project / "flat"
    flat.mkdir()
    for path in images.glob("*/*/*.jpg"):
        shutil.copy(path, flat / f"{path.parent.name}_{path.parts[-3]}{path.name}")
    run(project, "-m", "ruff", "check", "src")
    run(project, "-m", "pyright", "--pythonpath", sys.executable, *(path for path, _ in FILES if path.endswith(".py")))
    assert len(COMMANDS) == 5
    typed = " ".join(command.strip('"') for command in COMMANDS if not command.startswith("-m"))
    options = typed.replace("PATH", str(flat)).replace('"', "").split()
    said = run(project, "train.py", *options, "logger=none", "trainer.max_epochs=2", "trainer.accelerator=cpu")
    assert "80 images in 10 classes" in said
    assert "no better epoch for" in said
    assert "test accuracy" in said.splitlines()[-1]
    assert "src/project/backbones/pixels.py" in run(project, "scripts/explain.py", *options)
