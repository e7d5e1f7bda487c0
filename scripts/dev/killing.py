"""Runs that are killed at random moments and gone on with, and what they came to; for scripts/dev/soak.py."""

import hashlib
import io
import json
import os
import random
import runpy
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import torch

from headstart.errors import PROJECT_DIR

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
COMMON = (
    "data.per_class=[4,2,2]", "data_dir=data", "backbone=torchvision", "backbone.name=mobilenet_v3_small",
    "backbone.weights=null", "trainer.accelerator=cpu", "progress=none", "trainer.max_epochs=6",
    "patience=6", "trainer.precision=32-true",
)  # fmt: skip
EVERY_STEP = "callbacks.last_checkpoint.minutes=1e-9"
ROADS = {
    "cached": ("head=mlp", "features.batch_size=8", EVERY_STEP),
    "cached, saved seldom": ("head=mlp", "features.batch_size=8"),
    "cached, L-BFGS": (EVERY_STEP,),
    "live, augmented": ("head=mlp", "features.cache=false", "augment=light", "data.batch_size=8", EVERY_STEP),
    "live, 2 workers": (
        "head=mlp", "features.cache=false", "augment=light", "data.batch_size=8", "data.num_workers=2",
    ),
}  # fmt: skip


class Ending(NamedTuple):
    """What became of one run: the signals it got, whether it ended equal, and the checkpoints that were no use."""

    road: str
    signals: tuple[str, ...]
    equal: bool
    unreadable: int


def kill_and_go_on(road: str, run_dir: Path, times: int, rng: random.Random, seconds: float, wanted: str) -> Ending:
    """Kill a run on `road` so many times, each at a random moment of the `seconds` that a whole one takes.

    Then let it end, and look whether its digest is the `wanted` one.
    """
    signals, unreadable = [], 0
    for _ in range(times):
        pid = start(road, str(run_dir))
        time.sleep(rng.uniform(0, seconds * 1.1))
        signum = rng.choice(SIGNALS)
        os.kill(pid, signum)  # it may have ended, and waits to be asked about it
        wait(pid)
        signals.append(signum.name)
        unreadable += sum(_content(path) is None for path in run_dir.glob("checkpoints/*.ckpt"))
    code = wait(start(road, str(run_dir)))
    equal = code == 0 and digest(run_dir) == wanted
    return Ending(road, tuple(signals), equal, unreadable)


def start(road: str, run_dir: str) -> int:
    """Begin a run, or go on with it if it has begun, in a process of its own."""
    begun = Path(run_dir, ".hydra", "overrides.yaml")
    if begun.exists() and begun.stat().st_size:
        arguments = [f"resume='{run_dir}'"]
    else:
        arguments = [*COMMON, *ROADS[road], f"hydra.run.dir='{run_dir}'"]
    return fork_train(arguments, f"{run_dir}.txt")


def fork_train(arguments: list[str], output: str) -> int:
    """Begin train.py in a process of its own, which writes what it says behind what is in `output`."""
    pid = os.fork()
    if pid == 0:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        _be_train(arguments)
    return pid


def _be_train(arguments: list[str]) -> None:
    """Be train.py, and end as it ends."""
    code = 1
    try:
        sys.argv = ["train.py", *arguments]
        runpy.run_path(str(PROJECT_DIR / "train.py"), run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
        sys.stdout.write("" if stop.code == code else f"{stop.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int) -> int:
    """The exit code of a process, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def digest(run_dir: Path) -> str:
    """The weights, optimizer, scheduler, curve and metrics that a run ended with, as one short name."""
    checkpoint = _content(run_dir / "checkpoints" / "last.ckpt") or {}
    content = io.BytesIO()
    torch.save([checkpoint.get(part) for part in ("state_dict", "optimizer_states", "lr_schedulers")], content)
    metrics = json.loads((run_dir / "results.json").read_text()).get("metrics")
    curve = (run_dir / "metrics.csv").read_text()
    return hashlib.sha256(content.getvalue() + f"{metrics}{curve}".encode()).hexdigest()


def _content(path: Path) -> dict[str, Any] | None:
    try:
        return torch.load(path, weights_only=True)
    except Exception:  # damaged files fail in many ways
        return None
