"""A run in a job of SLURM: a signal that asks for it has the job done again, and then the run goes on by itself."""

import hashlib
import json
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ..files import write_atomically
from ..machine import Interrupted
from ..ranks import is_first_process
from ..runs import RUNS_DIR, SWEEP_CONFIG
from .quoting import MULTIRUN, quoted

JOB, RESTARTS = "SLURM_JOB_ID", "SLURM_RESTART_COUNT"
ARRAY, TASK = "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"
NOTES = RUNS_DIR.parent / ".slurm"  # which folder a job's command has, one small file each
# What sbatch --signal sends before the time is over; SIGTERM may mean the job's end.
ASKING = [getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)]

log = logging.getLogger(__name__)

_command: list[str] = []  # this process's


class Requeue(Callback):
    """Notes the folder of what runs in a job of SLURM, and puts the job back into the queue where a signal says so.

    SLURM itself does so when it preempts a job, when a node fails, and by `scontrol requeue`.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the folder."""
        _note(config.hydra.run.dir, config.resume)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the folder of a sweep whose jobs run in this job."""
        _note(config.hydra.sweep.dir, config.resume)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Put the job back when the run has saved and ended for it."""
        stop = sys.exception()
        if isinstance(stop, Interrupted) and stop.signum in ASKING and JOB in os.environ and is_first_process():
            requeue()

    on_multirun_end = on_run_end


def again(arguments: list[str]) -> list[str]:
    """What was typed; or, in a job that SLURM has started again, what goes on with the run, or sweep, of this command.

    Whatever was stopped before it could write down what it was begins anew.
    """
    _command[:] = arguments
    if os.environ.get(RESTARTS, "0") == "0" or not (note := _path()).exists():
        return arguments
    folder = Path(note.read_text())
    is_sweep = any(flag in arguments for flag in MULTIRUN)
    if not (folder / (SWEEP_CONFIG if is_sweep else ".hydra/overrides.yaml")).exists():
        return arguments
    return [*["-m"] * is_sweep, f"resume={quoted(str(folder))}"]


def requeue() -> None:
    """Have SLURM do this job again."""
    import subprocess  # here, as every start would wait for it

    own = os.environ[JOB]  # of the first task of an array it is the number of the whole
    job = f"{os.environ[ARRAY]}_{os.environ[TASK]}" if ARRAY in os.environ else own
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60, check=False)
        problem = done.stderr.strip() if done.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    log.warning(f"SLURM won't do job {job} again: {problem}" if problem else f"job {job} is in SLURM's queue again")


def _note(folder: str, resume: str | None) -> None:
    if JOB not in os.environ:
        return
    for signum in ASKING:
        signal.signal(signum, _stop)  # else it would end this process on the spot, until the run listens
    if not resume and is_first_process():
        write_atomically(_path(), folder)


def _stop(signum: int, _: FrameType | None) -> None:
    raise Interrupted(signum)


def _path() -> Path:
    digest = hashlib.sha256(json.dumps(_command).encode()).hexdigest()[:16]
    return NOTES / f"{os.environ[JOB]}-{digest}"
