"""What a sweep comes to: tables of its jobs and folds, on the terminal and as `sweep.json` and `folds.json`."""

import json
import logging
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headstart.errors import UserError, explain

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

FOLD = "data.fold"

log = logging.getLogger(__name__)


class SweepTable(Callback):
    """Notes every job's score as it ends. A job that fails is reported and scores NaN, and the others go on.

    Hydra by itself would stop the sweep's evaluation at the first job that failed, with no word on the others.
    """

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note a job's score, or why it failed; `sweep.json` always holds the jobs that have ended so far."""
        found = job_return._return_value
        if config.hydra.mode != RunMode.MULTIRUN or isinstance(found, SystemExit | KeyboardInterrupt):
            return  # a signal ends the whole sweep
        run_dir = str(config.hydra.runtime.output_dir)
        job = {"overrides": list(job_return.overrides or []), "run_dir": run_dir, "score": found, "error": None}
        if job_return.status == JobStatus.FAILED:
            job |= {"score": None, "error": explain(found) or repr(found)}
            log.error(f"job failed: {job['error']}", exc_info=None if explain(found) else found)
            job_return.status, job_return.return_value = JobStatus.COMPLETED, math.nan
        self.jobs.append(job)
        path = Path(config.hydra.sweep.dir) / "sweep.json"
        path.write_text(json.dumps(self.jobs, indent=2) + "\n")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table, and that of `folds.json` if there are folds; the process ends with 1 when a job failed."""
        if sys.exception():  # a signal, or a config that can't be
            return
        sweep_dir = Path(config.hydra.sweep.dir)
        failed = sum(job["error"] is not None for job in self.jobs)
        tables = [job_table(self.jobs)]
        if means := over_folds(self.jobs):
            (sweep_dir / "folds.json").write_text(json.dumps(means, indent=2) + "\n")
            tables.append(fold_table(means))
        Console().print(*tables, escape(f"{sweep_dir}: {len(self.jobs)} jobs, {failed} failed"), soft_wrap=True)
        if failed:
            sys.exit(f"error: {failed} of {len(self.jobs)} jobs failed; {sweep_dir / 'sweep.json'} says why")


def refuse_several_processes(trainer: "Trainer") -> None:
    """Raise UserError where Lightning would start further processes with a sweep's command line.

    Each of them would run the whole sweep by itself, with other hyperparameters than the first, and say nothing.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.world_size > 1 and not (environment and environment.creates_processes_externally):
        raise UserError("the jobs of a sweep take one device each: add trainer.devices=1, or run the jobs one by one")


def over_folds(jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for all jobs that differ in `data.fold` alone, if there are two or more; failed ones have no score.

    `std` is the sample standard deviation (divided by folds - 1); null for a single score, as `mean` is for none.
    """
    together: defaultdict[tuple[str, ...], list[float | None]] = defaultdict(list)
    for job in jobs:
        others = tuple(override for override in job["overrides"] if override.split("=")[0].lstrip("+") != FOLD)
        if len(others) < len(job["overrides"]):
            together[others].append(job["score"])
    rows = []
    for others, scores in together.items():
        known = [score for score in scores if score is not None]
        means = {"mean": mean(known) if known else None, "std": stdev(known) if len(known) > 1 else None}
        if len(scores) > 1:
            rows.append({"overrides": list(others), "scores": scores, **means})
    return rows


def job_table(jobs: Sequence[dict[str, Any]]) -> Table:
    """One row a job, for the terminal."""
    table = Table("job", "overrides", "score")
    for job, overrides in zip(jobs, _differences(jobs), strict=True):
        score = "failed" if job["error"] else f"{job['score']:.4f}"
        table.add_row(escape(Path(job["run_dir"]).name), overrides, score)
    return table


def fold_table(rows: Sequence[dict[str, Any]]) -> Table:
    """One row for each of `over_folds`, for the terminal."""
    table = Table("overrides", "folds", "mean", "std")
    for row, overrides in zip(rows, _differences(rows), strict=True):
        known, all_ = sum(score is not None for score in row["scores"]), len(row["scores"])
        values = ["" if row[name] is None else f"{row[name]:.4f}" for name in ("mean", "std")]
        table.add_row(overrides, f"{known} of {all_}" if known < all_ else str(all_), *values)
    return table


def _differences(rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    """Of each row's overrides, those that tell the rows apart; rich would take `[csv,wandb]` for markup."""
    shared = set.intersection(*(set(row["overrides"]) for row in rows)) if rows else set()
    return [escape(" ".join(one for one in row["overrides"] if one not in shared)) for row in rows]
