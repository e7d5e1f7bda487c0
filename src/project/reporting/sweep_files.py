"""A sweep's summary: tables for the terminal, `sweep.json`, `means.json` and `sweep.csv`."""

import csv
import io
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.files import short, write_atomically

from .sweep_folder import Job, SweepFolder

if TYPE_CHECKING:
    from rich.table import Table

MOST = 30  # rows of a table on the terminal


def write_sweep(sweep: SweepFolder) -> Path:
    """Write what is known of a sweep by now into its folder; returns the path of its `sweep.csv`."""
    jobs = [
        {"job": job.number, "run_dir": str(job.folder.absolute()), "overrides": list(job.overrides)}
        | {"score": job.score, "error": job.error, "status": job.status}
        for job in sweep.jobs
    ]
    write_atomically(sweep.path / "sweep.json", json.dumps(jobs, indent=2) + "\n")
    if sweep.means:
        write_atomically(sweep.path / "means.json", json.dumps(sweep.means, indent=2) + "\n")
    content = io.StringIO(newline="")
    csv.writer(content).writerows(rows(sweep))
    write_atomically(sweep.path / "sweep.csv", content.getvalue())
    return sweep.path / "sweep.csv"


def rows(sweep: SweepFolder) -> Iterator[list[Any]]:
    """A header, and a row for each job, the best first: what it was told, metrics, seconds, error and checkpoint."""
    metrics = list(dict.fromkeys(name for job in sweep.jobs for name in job.results.get("metrics", {})))
    yield ["job", "status", "score", *sweep.keys, *metrics, "seconds", "error", "checkpoint"]
    for job in (*sweep.finished, *sweep.others):
        told = [job.value(key) for key in sweep.keys]
        measured = [job.results.get("metrics", {}).get(name) for name in metrics]
        yield [job.name, job.status, job.score, *told, *measured, seconds(job), job.error, checkpoint(job)]


def seconds(job: Job) -> float | None:
    """How long a job took, without what others had computed before."""
    spent = job.results.get("seconds")
    return round(sum(spent.values()), 3) if spent else None


def checkpoint(job: Job) -> str | None:
    """The path of a job's best checkpoint."""
    kept = job.results.get("best_checkpoint")
    return str(short(job.folder / kept)) if kept else None


def command(sweep: SweepFolder) -> str | None:
    """What to type to train the best configuration again."""
    if not sweep.finished:
        return None
    best = sweep.finished[0]
    return best.results.get("command") or shlex.join(["python", "train.py", *best.overrides])


def tables(sweep: SweepFolder) -> list["Table | str"]:
    """What the terminal shows: jobs by score, means over seeds and folds, and how to have the best one again."""
    shown: list[Table | str] = [job_table(sweep)]
    if len(sweep.jobs) > MOST:
        shown.append(f"... and {len(sweep.jobs) - MOST:,} more in {short(sweep.path / 'sweep.csv')}")
    if sweep.means:
        shown.append(mean_table(sweep))
    if sweep.equal_seeds:
        names = ", ".join(job.name for job in sweep.equal_seeds)
        same = "are the same to the last bit with another seed: nothing in them is drawn by it"
        shown.append(f"jobs {names} {same} (solver=lbfgs has one solution)")
    if sweep.finished:
        best = sweep.finished[0]
        shown += [f"best: job {best.name}, {checkpoint(best) or 'no checkpoint'}", f"again: {command(sweep)}"]
    return shown


def job_table(sweep: SweepFolder) -> "Table":
    """One row a job, the best first, and what tells it from the others."""
    table = _table("job", "overrides", sweep.monitor)
    for job in (*sweep.finished, *sweep.others)[:MOST]:
        told = " ".join(f"{key}={job.value(key)}" for key in sweep.keys if job.value(key))
        table.add_row(job.name, told, job.status if job.score is None else f"{job.score:.4f}")
    return table


def mean_table(sweep: SweepFolder) -> "Table":
    """One row for all jobs that differ in their seed or fold alone."""
    table = _table("overrides", "jobs", "mean", "std")
    for row in sweep.means[:MOST]:
        told = " ".join(f"{key}={value}" for key, value in row["overrides"].items() if value)
        known, count = len(row["scores"]), row["jobs"]
        values = ["" if row[name] is None else f"{row[name]:.4f}" for name in ("mean", "std")]
        table.add_row(told, f"{known} of {count}" if known < count else str(count), *values)
    return table


def _table(*headers: str) -> "Table":
    from rich.table import Table  # here, as every run loads this file, and only a sweep's end prints

    return Table(*headers)
