"""Scripts in processes of their own, forked from one that has imported what a run needs: seconds less for each."""

import atexit
import multiprocessing
import os
import resource
import runpy
import signal
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from runs import ROOT

METHODS = multiprocessing.get_all_start_methods()  # the first is what a process starts its own ones by
FORKS: Any = multiprocessing.get_context("forkserver" if "forkserver" in METHODS else "spawn")
FORKS.set_forkserver_preload(
    ["project.build", "project.evaluation", "project.reporting.figures", "torchvision", "timm"]
)


class Script:
    """One of the project's scripts in a process that can be signalled; `file_size` limits the files that it writes."""

    def __init__(self, script: str, *arguments: str, cwd: Path, file_size: int | None = None) -> None:
        folder = Path(mkdtemp(dir=cwd.parent))
        self.said = folder / "stdout", folder / "stderr"
        for path in self.said:
            path.touch()
        self.process = FORKS.Process(target=_run, args=([str(ROOT / script), *arguments], cwd, self.said, file_size))
        self.process.start()
        self.pid = self.process.pid or 0

    @property
    def stdout(self) -> str:
        """What it has said by now."""
        return self.said[0].read_text()

    @property
    def stderr(self) -> str:
        """And what of it were errors."""
        return self.said[1].read_text()

    def send(self, signum: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it as the system does when there is no memory left."""
        self.send(signal.SIGKILL)

    def end(self, seconds: float = 300) -> int:
        """Wait until it ends; returns its exit code."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, self.stdout + self.stderr
        return self.process.exitcode


def _run(argv: list[str], cwd: Path, said: tuple[Path, Path], file_size: int | None) -> None:
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    multiprocessing.set_start_method(METHODS[0], force=True)
    os.chdir(cwd)
    sys.argv = argv
    try:
        runpy.run_path(argv[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which a forked process would leave out
