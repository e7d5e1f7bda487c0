"""What a sweep comes to: a table of its jobs, on the terminal and as `sweep.json`."""

import json
import logging
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from headstart.errors import UserError, explain

from .cross_validation import fold_table, over_folds

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

log = logging.getLogger(__name__)


class SweepTable(Callback):
    """Notes every job's score as it ends. A job that fails is reported and scores NaN, and the others go on.

    Hydra by itself would stop the sweep's evaluation at the first job that failed, with no word on the others.
    """

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note a job's score, or why it failed; `sweep.json` always holds the jobs that have ended so far."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        job = {
            "overrides": list(job_return.overrides or []),
            "run_dir": str(config.hydra.runtime.output_dir),
            "score": job_return._return_value,
            "error": None,
        }
        if job_return.status == JobStatus.FAILED:
            error = job_return._return_value
            job |= {"score": None, "error": explain(error) or repr(error)}
            log.error(f"job failed: {job['error']}", exc_info=None if explain(error) else error)
            job_return.status, job_return.return_value = JobStatus.COMPLETED, math.nan
        self.jobs.append(job)
        path = Path(config.hydra.sweep.dir) / "sweep.json"
        path.write_text(json.dumps(self.jobs, indent=2) + "\n")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table, and that of `folds.json` if there are folds; the process ends with 1 when a job failed."""
        sweep_dir = Path(config.hydra.sweep.dir)
        failed = sum(job["error"] is not None for job in self.jobs)
        if means := over_folds(self.jobs):
            (sweep_dir / "folds.json").write_text(json.dumps(means, indent=2) + "\n")
        tables = [_table(self.jobs), *([fold_table(means)] if means else [])]
        Console().print(*tables, f"{sweep_dir}: {len(self.jobs)} jobs, {failed} failed", soft_wrap=True)
        if failed:
            sys.exit(f"error: {failed} of {len(self.jobs)} jobs failed; {sweep_dir / 'sweep.json'} says why")


def refuse_several_processes(trainer: "Trainer", mode: RunMode | None) -> None:
    """Raise UserError where Lightning would start further processes with a sweep's command line.

    Each of them would run the whole sweep by itself, with other hyperparameters than the first, and say nothing.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    starts_processes = trainer.world_size > 1 and not (environment and environment.creates_processes_externally)
    if starts_processes and mode == RunMode.MULTIRUN:
        raise UserError("the jobs of a sweep take one device each: add trainer.devices=1, or run the jobs one by one")


def _table(jobs: list[dict[str, Any]]) -> Table:
    """One row a job, with only those overrides that tell the jobs apart."""
    shared = set.intersection(*(set(job["overrides"]) for job in jobs)) if jobs else set()
    table = Table("job", "overrides", "score")
    for job in jobs:
        overrides = " ".join(override for override in job["overrides"] if override not in shared)
        table.add_row(Path(job["run_dir"]).name, overrides, "failed" if job["error"] else f"{job['score']:.4f}")
    return table
