"""Kill short runs at random moments and go on with them: `python scripts/dev/soak.py [kills=200] [seed=0]`.

Every run is killed one to three times, by TERM, INT or KILL, between its start and its end, then left alone until
it is done. It must end as the run that nobody killed: the same weights, optimizer, curve and metrics, bit for bit.
"""

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # processes enough for all cores; and a process with threads can't be forked

from killing import ROADS, SIGNALS, Ending, digest, kill_and_go_on, start, wait
from rich.progress import track
from rich.table import Table

from headstart.errors import UserError, readable_errors
from headstart.machine import terminal, usable_cores


def main(arguments: list[str]) -> None:
    """Kill, compare, print the table, and exit with 1 when anything was lost."""
    if {"-h", "--help"} & set(arguments):
        terminal(soft_wrap=True).print(__doc__)
        return
    parts = [argument.partition("=") for argument in arguments]
    given = {"kills": "200", "seed": "0"} | {name: value for name, _, value in parts}
    if given.keys() != {"kills", "seed"} or not all(value.isdigit() for value in given.values()):
        raise UserError("soak.py takes kills=NUMBER and seed=NUMBER")
    import project.main  # noqa: F401  (once: every run is a fork of this process, and starts within a second)

    endings = kill(_plan(int(given["kills"]), random.Random(given["seed"])))
    _tell(endings)


def kill(plan: list[tuple[str, int, int]]) -> list[Ending]:
    """Make the runs of the plan in a scratch folder, which stays when anything went wrong."""
    scratch = tempfile.mkdtemp(prefix="headstart-soak-")
    os.chdir(scratch)
    wanted, seconds = {}, {}
    for road in track(ROADS, "Runs that nobody kills"):
        wait(start(road, "warm-up"))  # images and features
        shutil.rmtree("warm-up")
        started = time.monotonic()
        assert wait(start(road, f"whole-{road}")) == 0, Path(f"whole-{road}.txt").read_text()
        wanted[road], seconds[road] = digest(Path(f"whole-{road}")), time.monotonic() - started
    jobs = [
        (road, Path(f"run-{number}"), times, random.Random(seed), seconds[road], wanted[road])
        for number, (road, times, seed) in enumerate(plan)
    ]
    with ProcessPoolExecutor(usable_cores(), multiprocessing.get_context("fork")) as pool:
        endings = list(track(pool.map(kill_and_go_on, *zip(*jobs, strict=True)), "Killed runs", total=len(jobs)))
    if all(ending.equal and not ending.unreadable for ending in endings):
        shutil.rmtree(scratch)
    else:
        terminal().print(f"{scratch} keeps the runs that went wrong, with what they said", soft_wrap=True)
    return endings


def _plan(kills: int, rng: random.Random) -> list[tuple[str, int, int]]:
    """The road of every run, how often it is killed, and a seed: `kills` in all, on all roads in turn."""
    plan: list[tuple[str, int, int]] = []
    roads = cycle(ROADS)
    while kills:
        times = min(kills, rng.randint(1, 3))
        plan.append((next(roads), times, rng.getrandbits(32)))
        kills -= times
    return plan


def _tell(endings: list[Ending]) -> None:
    table = Table("road", *(signum.name for signum in SIGNALS), "runs", "ended equal")
    for road in ROADS:
        own = [ending for ending in endings if ending.road == road]
        count = Counter(name for ending in own for name in ending.signals)
        signals = [str(count[signum.name]) for signum in SIGNALS]
        table.add_row(road, *signals, str(len(own)), str(sum(ending.equal for ending in own)))
    kills = sum(len(ending.signals) for ending in endings)
    equal = sum(len(ending.signals) for ending in endings if ending.equal)
    unreadable = sum(ending.unreadable for ending in endings)
    console = terminal()
    console.print(table)
    console.print(f"{kills} kills, {equal} equal endings, {unreadable} unreadable checkpoints")
    if equal < kills or unreadable:
        sys.exit(1)


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
