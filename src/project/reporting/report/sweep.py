"""A sweep's page: what its jobs came to, by parameter, over seeds and folds, and which failed, and why."""

from collections.abc import Callable
from pathlib import Path

from headstart.errors import printable

from ..plots.sweep import draw_history, draw_importance, draw_parallel_coordinates, draw_scores_by_parameter
from ..sweep_files import checkpoint, command, rows
from ..sweep_folder import SweepFolder
from .blocks import Code, Folded, Page, Section, Table, Text, drawing
from .page import made, write_page

FILE = "sweep.html"
SHORT = 30  # rows of a table that is shown at once


def write_page_of(sweep: SweepFolder, name: str = FILE) -> Path:
    """Write a sweep's page from what lies in its folder; returns its path."""
    counts = {status: sum(job.status == status for job in sweep.jobs) for status in _statuses(sweep)}
    subtitle = ", ".join(f"{count} {status}" for status, count in counts.items())
    best = [("best score", f"{sweep.finished[0].score:.4f}"), ("of", sweep.monitor)] if sweep.finished else []
    status = "finished" if set(counts) <= {"finished", "pruned"} else "running" if "running" in counts else "failed"
    page = Page(f"Sweep {printable(sweep.path.name)}", made(SWEEP, sweep), status, subtitle, best)
    return write_page(page, sweep.path / name)


def best(sweep: SweepFolder) -> Section:
    """How to have the best job again."""
    if not (again := command(sweep)):
        return Section("The best", [])
    job = sweep.finished[0]
    lines = [Text(f"Job {job.name}. This trains its configuration again:"), Code(again)]
    return Section("The best", [*lines, *([Code(kept)] if (kept := checkpoint(job)) else [])])


def parameters(sweep: SweepFolder) -> Section:
    """The score by each parameter, and all of them at once."""
    return Section(
        "Scores by parameter",
        [
            *drawing(draw_importance(sweep), "how much each parameter matters, by PED-ANOVA"),
            *drawing(draw_scores_by_parameter(sweep)),
            *drawing(draw_parallel_coordinates(sweep), "a line a job, the better the darker"),
        ],
    )


def history(sweep: SweepFolder) -> Section:
    """The scores in the order in which jobs began."""
    return Section("History", [*drawing(draw_history(sweep), "a point a job, and the best so far")])


def repeated(sweep: SweepFolder) -> Section:
    """Mean and spread over seeds and folds."""
    found = [[*map(printable, row["overrides"].values()), row["jobs"], row["mean"], row["std"]] for row in sweep.means]
    header = [*(sweep.means[0]["overrides"] if sweep.means else ()), "jobs", "mean", "std"]
    notes = [Text(f"{len(sweep.equal_seeds)} jobs are equal whatever the seed")] if sweep.equal_seeds else []
    return Section("Seeds and folds", [*([Table(header, found)] if found else []), *notes])


def jobs(sweep: SweepFolder) -> Section:
    """Every job with a score, the best first; sweep.csv has all that is known of them."""
    header, *found = rows(sweep)
    shown = [place for place, name in enumerate(header) if name not in ("status", "error", "checkpoint")]
    found = [[row[place] for place in shown] for row in found[: len(sweep.finished)]]
    table = Table([header[place] for place in shown], found)
    return Section("Jobs", [table] if len(found) <= SHORT else [Folded(f"all {len(found):,} jobs", [table])])


def failures(sweep: SweepFolder) -> Section:
    """What became of the other jobs: pruned, failed, interrupted, killed."""
    found = [[job.name, job.status, " ".join(job.overrides), job.error] for job in sweep.others]
    return Section(
        "Pruned, failed or interrupted", [Table(["job", "status", "overrides", "error"], found)] if found else []
    )


# Yours to edit: what a sweep's page says, from top to bottom.
SWEEP: list[Callable[[SweepFolder], Section]] = [best, history, parameters, repeated, jobs, failures]


def _statuses(sweep: SweepFolder) -> list[str]:
    return list(dict.fromkeys(job.status for job in sweep.jobs))
