"""Kill short searches at random moments and go on with them: `python scripts/dev/search_soak.py [kills=50] [seed=0]`.

Each search has ten trials, and is killed by TERM or KILL once or more before it may end. It must end with ten trials in
all, each with a score, a folder and a whole curve of its own, none of which was trained twice.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a process with threads can't be forked

from killing import COMMON, fork_train, wait
from rich.progress import Progress

from headstart.errors import readable_errors
from headstart.machine import terminal

TRIALS, EPOCHS, LONGEST = 10, 6, 5.0
SEARCH = (
    "-m", "hydra/sweeper=optuna", "solver=adamw", "model.lr=tag(log,interval(0.001,0.1))", "logger=none",
    f"hydra.sweeper.n_trials={TRIALS}",
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Kill, look at what became of each search, and exit with 1 when anything was lost."""
    given = {"kills": "50", "seed": "0"} | dict(argument.split("=", 1) for argument in arguments)
    import project.main  # noqa: F401  (once: every search is a fork of this process, and starts within a second)

    rng, left, faults, searches = random.Random(given["seed"]), int(given["kills"]), list[str](), 0
    os.chdir(tempfile.mkdtemp(prefix="headstart-search-soak-"))
    with Progress() as progress:
        bar = progress.add_task("Kills", total=left)
        while left:
            folder, kills = Path(f"search-{searches}"), min(left, rng.randint(1, 5))
            for _ in range(kills):
                pid = begin(folder)
                time.sleep(rng.uniform(0, LONGEST))
                os.kill(pid, rng.choice((signal.SIGTERM, signal.SIGKILL)))
                wait(pid)
                progress.advance(bar)
            code = wait(begin(folder))
            faults += [f"{folder}: {fault}" for fault in look(folder, code)]
            left, searches = left - kills, searches + 1
    told = f"{given['kills']} kills, {searches} searches of {TRIALS} trials, {len(faults)} faults"
    terminal(soft_wrap=True).print(*faults, f"{told} ({Path.cwd()})", sep="\n")
    sys.exit(bool(faults))


def begin(folder: Path) -> int:
    """Begin a search, or go on with it if it has begun, in a process of its own."""
    begun = (folder / "multirun.yaml").exists()
    arguments = ["-m", f"resume={folder}"] if begun else [*SEARCH, *COMMON, f"hydra.sweep.dir={folder}"]
    return fork_train(arguments, f"{folder}.txt")


def look(folder: Path, code: int) -> list[str]:
    """What is wrong with a search that has ended."""
    from headstart.extras.search.study import counted, open_storage, open_study

    study = open_study(open_storage(None, folder), folder.name, ["maximize"])
    trials = counted(study)
    found = [f"exit code {code}"] * bool(code)
    if [trial.state.name for trial in trials] != ["COMPLETE"] * TRIALS:
        found.append(f"trials {[trial.state.name for trial in trials]}")
    for job in range(TRIALS):
        results, curve = folder / str(job) / "results.json", folder / str(job) / "metrics.csv"
        scores = [trial.value for trial in trials if trial.user_attrs["job"] == job]
        if scores != [json.loads(results.read_text())["score"] if results.exists() else None]:
            found.append(f"job {job} has the scores {scores}")
        if not curve.exists() or len(curve.read_text().splitlines()) != EPOCHS + 1:
            found.append(f"job {job} has no whole curve")
    if len({trial.params["model.lr"] for trial in trials}) != len(trials):
        found.append("a trial was drawn twice")
    return found


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
