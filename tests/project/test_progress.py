"""What a run shows while it runs, to somebody who looks on and to a file."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from threading import Thread

import pytest
from runs import ROOT, TINY

from project.callbacks.progress_bar import ImageBar, progress_bars


def on_a_terminal(arguments: list[str], cwd: Path) -> str:
    """What train.py writes to a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    said: list[bytes] = []

    def read() -> None:
        while chunk := _read(ours):
            said.append(chunk)

    environment = os.environ | {"TERM": "xterm"}
    reader = Thread(target=read)
    reader.start()
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    done = subprocess.run(command, cwd=cwd, stdout=theirs, stderr=theirs, env=environment, check=False)
    os.close(theirs)
    reader.join()
    assert done.returncode == 0, b"".join(said).decode()
    return b"".join(said).decode()


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rich", "tqdm", "none"])
def test_bars_count_images_and_leave_lines(images: Path, tmp_path: Path, kind: str) -> None:
    few = [f"data.root={images}", "logger=none", "solver=adamw", "features.batch_size=4", f"progress={kind}"]
    said = on_a_terminal(["data=folder", *TINY, *few], tmp_path).partition("computed now")[2]
    assert ("images/s" in said) == (kind == "rich")
    assert ("Epoch 0" in said) == (kind != "none")
    assert ("it/s" in said) == (kind == "tqdm")
    assert "epoch 2/2  train/loss" in said


def test_a_file_gets_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress_bars("rich") == progress_bars("tqdm") == []
    monkeypatch.setenv("FORCE_COLOR", "1")  # as for rich itself, and those who know that their output is looked at
    assert isinstance(progress_bars("rich")[0], ImageBar)
    assert progress_bars("none") == []
