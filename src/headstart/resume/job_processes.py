"""A sweep's job on several devices: a run of its own, in processes of its own, with the job's own config.

Lightning starts further processes by the command line of this one. In a sweep that is the whole sweep's: each of them
would run all of its jobs, with other hyperparameters than the first wherever they are drawn, and say nothing.
"""

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig

from ..errors import PROJECT_DIR, UserError
from ..files import short
from ..runs import RESULTS, read_results
from .going_on import stored_run
from .own_folder import let_go_of_job
from .signals import Interrupted, StopRequest
from .stored_config import SAME, told_now

if TYPE_CHECKING:
    from lightning.pytorch import Trainer


def starts_processes(trainer: "Trainer") -> bool:
    """Whether a Trainer starts the processes of its devices itself.

    Also where it has one device: what it would leave in this process's environment, the next job's Trainer would take
    for the word of somebody who has started all processes already.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return bool(environment and not environment.creates_processes_externally)


def train_in_processes(run_dir: str, sweep_dir: str, request: StopRequest) -> float:
    """Have the job of the folder `run_dir` trained by processes of its own, and return its score.

    Signals are theirs while they run: they save, and the sweep ends as they do, by `Interrupted`. Raises UserError with
    what went wrong with them, which they have told in full by then.
    """
    folder = Path(run_dir)
    if read_results(folder).get("status") == "failed":
        (folder / RESULTS).unlink()  # so that what is there afterwards is theirs
    let_go_of_job()  # else they would find out that somebody is at work there
    code = _run(_command(folder, sweep_dir), request)
    found = read_results(folder)
    if found.get("status") == "interrupted":
        request.position = found["epoch"], found["step"]
        request.signum = request.signum or (code - 128 if code > 128 else None)
    if request.signum is not None:
        raise Interrupted(request.signum)
    if code < 0:
        name = signal.Signals(-code).name
        raise UserError(f"its processes were ended by {name}, for too little memory maybe; the sweep's resume= goes on")
    if code or found.get("status") not in ("finished", "pruned"):
        log = f"{short(folder / 'train.log')} holds what they said"
        raise UserError(found.get("error") or f"its processes ended with exit code {code}: {log}")
    return found["score"]


def _command(folder: Path, sweep_dir: str) -> list[str]:
    """What goes on with a job as a run: its stored config, what was typed for the sweep since, and its sweep."""
    typed, stored = told_now(HydraConfig.get()), stored_run(folder)
    new = [one for one in typed if one not in stored.overrides]
    script = str(PROJECT_DIR / "train.py")
    return [sys.executable, script, f"{SAME}={folder}", f"hydra.sweep.dir={sweep_dir}", *new]


def _run(command: list[str], request: StopRequest) -> int:
    """Run a command to its end, and pass signals on to it; returns its exit code, -N where signal N ended it."""
    request.deferred = True
    sys.stdout.flush()
    process = subprocess.Popen(command, process_group=0)  # else a Ctrl-C would come from the terminal, and from here
    try:
        request.pass_on = process.send_signal
        if request.signum is not None:
            process.send_signal(request.signum)
        return process.wait()
    finally:
        request.pass_on, request.deferred = None, False
