"""One job on each of this machine's GPUs, and the next as soon as one is free."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from filelock import FileLock, Timeout

from ...errors import UserError
from .cores import CoresLauncher

VISIBLE = "CUDA_VISIBLE_DEVICES"
COUNT = "import torch; print(torch.cuda.device_count())"  # in a process of its own: here it would touch the devices

PAUSE = 0.5  # seconds

_own: dict[Path, tuple[FileLock, str]] = {}  # the device of this process, from its first job to its end


class GpusLauncher(CoresLauncher):
    """As many jobs at once as there are GPUs; each sees one, and computes as if there were no other.

    The devices are those of CUDA_VISIBLE_DEVICES, where that is set, or all.
    """

    def __init__(self) -> None:
        self.devices = visible_devices()
        super().__init__(len(self.devices))

    def setup(self, *, hydra_context: Any, task_function: Callable[[Any], Any], config: Any) -> None:
        """Take what Hydra gives a launcher; raises UserError where there is no GPU."""
        if not self.devices:
            raise UserError("hydra/launcher=gpus finds no GPU: take hydra/launcher=joblib, for cores")
        task = OnOneDevice(task_function, self.devices)
        super().setup(hydra_context=hydra_context, task_function=task, config=config)

    def at_once(self, jobs: int) -> int:
        """How many of so many jobs run at once."""
        return min(jobs, self.n_jobs)


class OnOneDevice:
    """A sweep's task, in a process that takes one of the `devices` with its first job, before torch looks for any."""

    def __init__(self, task: Callable[[Any], Any], devices: Sequence[str]) -> None:
        self.task, self.devices = task, devices

    def __call__(self, cfg: Any) -> Any:
        """Run one job."""
        place = hashlib.sha256(os.fsencode(os.path.abspath(cfg.sweep_dir))).hexdigest()[:16]  # noqa: PTH100
        take_one(self.devices, Path(gettempdir()) / f"gpus-{place}")
        return self.task(cfg)


def visible_devices() -> list[str]:
    """The numbers, or names, of the GPUs that CUDA_VISIBLE_DEVICES lists, or of all."""
    if (listed := os.environ.get(VISIBLE)) is not None:
        names = [name.strip() for name in listed.split(",")]
        return names[: next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))]
    counted = subprocess.run([sys.executable, "-c", COUNT], stdout=subprocess.PIPE, text=True, check=True)
    return [str(number) for number in range(int(counted.stdout))]


def take_one(devices: Sequence[str], place: Path) -> None:
    """Let this process see the first of the `devices` that no other has, and keep it to its end; wait for one.

    A process that a killed sweep has left behind has one, too. The folder `place` has a file for each, to be locked.
    """
    place.mkdir(parents=True, exist_ok=True)
    while place not in _own:
        for number, device in enumerate(devices):
            lock = FileLock(place / str(number))
            with suppress(Timeout):
                lock.acquire(timeout=0)
                _own[place] = lock, device
                break
        else:
            time.sleep(PAUSE)
    os.environ[VISIBLE] = _own[place][1]
