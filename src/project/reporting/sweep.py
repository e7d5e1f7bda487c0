"""What a sweep comes to: tables of its jobs and folds, on the terminal and as `sweep.json` and `folds.json`."""

import json
import logging
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from rich.table import Table

from headstart.errors import UserError, explain
from headstart.files import write_atomically
from headstart.machine import terminal

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

FOLD = "data.fold"
JOB = ".hydra/job-*.json"
DIRECTION = "hydra.sweeper.direction"

log = logging.getLogger(__name__)


class SweepTable(Callback):
    """Notes every job's score as it ends. A job that fails is reported and scores NaN, and the others go on.

    Hydra by itself would stop the sweep's evaluation at the first job that failed, with no word on the others. A NaN is
    a failed trial for Optuna, too. Jobs may run in other processes and on other machines, as hydra/launcher=joblib and
    submitit let them: so what became of a job stands in its folder, in `.hydra`, from its start on.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Forget the jobs of a sweep that is gone on with: all come again."""
        for path in Path(config.hydra.sweep.dir).rglob(JOB):
            path.unlink()
        if isinstance(OmegaConf.select(config, DIRECTION), str | Enum):
            look_for_the_best(config)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note a job that will not tell its end if its process is killed."""
        if config.hydra.mode == RunMode.MULTIRUN:
            overrides = list(config.hydra.overrides.task)
            _note(config, {"overrides": overrides, "score": None, "error": "no end: it runs, or was killed"})

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note a job's score, or why it failed."""
        found = job_return._return_value
        if config.hydra.mode != RunMode.MULTIRUN or isinstance(found, SystemExit | KeyboardInterrupt):
            return  # a signal ends the whole sweep
        job = {"overrides": list(job_return.overrides or []), "score": found, "error": None}
        if job_return.status == JobStatus.FAILED:
            job |= {"score": None, "error": explain(found) or repr(found)}
            log.error(f"job failed: {job['error']}", exc_info=None if explain(found) else found)
            job_return.status, job_return.return_value = JobStatus.COMPLETED, math.nan
        _note(config, job)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table, and that of `folds.json` if there are folds; the process ends with 1 when a job failed."""
        sweep_dir, error = Path(config.hydra.sweep.dir), sys.exception()
        jobs = write_jobs(sweep_dir)
        failed = sum(job["error"] is not None for job in jobs)
        stopped = error is not None and not isinstance(error, Exception)  # by a signal
        if stopped or (error and not failed):  # a config that can't be, or a launcher's own
            return
        tables: list[Table | str] = [job_table(jobs)]
        if means := over_folds(jobs):
            (sweep_dir / "folds.json").write_text(json.dumps(means, indent=2) + "\n")
            tables.append(fold_table(means))
        if equal := equal_whatever_the_seed(jobs):
            same = "are the same to the last bit with another seed: nothing in them is drawn by it"
            tables.append(f"jobs {', '.join(equal)} {same} (solver=lbfgs has one solution)")
        terminal().print(*tables, f"{sweep_dir}: {len(jobs)} jobs, {failed} failed", sep="\n", soft_wrap=True)
        if failed:
            sys.exit(f"error: {failed} of {len(jobs)} jobs failed; {sweep_dir / 'sweep.json'} says why")


def look_for_the_best(config: DictConfig) -> None:
    """Tell a sweeper such as Optuna's, which minimises by itself, where the best of the monitored metric is.

    Ends the process where something else was typed: it would search for the worst.
    """
    from ..model.metrics import direction  # torch, for who has such a sweeper

    best = {"max": "maximize", "min": "minimize"}.get(direction(config.monitor) or "")
    said = OmegaConf.select(config, DIRECTION)
    if best and getattr(said, "name", said) != best:
        if any(one.lstrip("+").startswith(f"{DIRECTION}=") for one in config.hydra.overrides.hydra):
            sys.exit(f"error: {DIRECTION}={said} looks for the worst {config.monitor}: leave it out, or say {best}")
        with read_write(config.hydra):
            config.hydra.sweeper.direction = best


def _note(config: DictConfig, job: dict[str, Any]) -> None:
    run_dir, number = Path(config.hydra.runtime.output_dir), config.hydra.job.num
    content = {"job": number, "run_dir": str(run_dir)} | job
    write_atomically(run_dir / JOB.replace("*", str(number)), json.dumps(content, indent=2) + "\n")


def write_jobs(sweep_dir: str | Path) -> list[dict[str, Any]]:
    """What became of a sweep's jobs, in their order, as their folders say it; also written to `sweep.json`."""
    jobs = [json.loads(path.read_text()) for path in Path(sweep_dir).rglob(JOB)]
    jobs.sort(key=lambda job: job["job"])
    if jobs:
        write_atomically(Path(sweep_dir) / "sweep.json", json.dumps(jobs, indent=2) + "\n")
    return jobs


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
    rows = []
    for others, group in _alike_but_for(FOLD, jobs):
        scores = [job["score"] for job in group]
        known = [score for score in scores if score is not None]
        means = {"mean": mean(known) if known else None, "std": stdev(known) if len(known) > 1 else None}
        rows.append({"overrides": list(others), "scores": scores, **means})
    return rows


def equal_whatever_the_seed(jobs: Sequence[dict[str, Any]]) -> list[str]:
    """The jobs that differ in their seed, and in none of their metrics: a mean over them says nothing of its spread.

    solver=lbfgs has one solution for a head, so that only a seed that draws splits, views or folds can matter.
    """
    equal: set[str] = set()
    for _, group in _alike_but_for("seed", jobs):
        by_metrics: defaultdict[str, list[str]] = defaultdict(list)
        for job in group:
            with suppress(OSError, KeyError, ValueError):  # of a job that failed
                metrics = json.loads((Path(job["run_dir"]) / "results.json").read_text())["metrics"]
                by_metrics[json.dumps(metrics, sort_keys=True)].append(Path(job["run_dir"]).name)
        equal |= {name for names in by_metrics.values() if len(names) > 1 for name in names}
    return [name for name in (Path(job["run_dir"]).name for job in jobs) if name in equal]


def _alike_but_for(key: str, jobs: Sequence[dict[str, Any]]) -> list[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """The groups of two jobs or more that differ in this key alone, and the overrides that each has in common."""
    together: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for job in jobs:
        others = tuple(override for override in job["overrides"] if override.split("=")[0].lstrip("+") != key)
        if len(others) < len(job["overrides"]):
            together[others].append(job)
    return [(others, group) for others, group in together.items() if len(group) > 1]


def job_table(jobs: Sequence[dict[str, Any]]) -> Table:
    """One row a job, for the terminal."""
    table = Table("job", "overrides", "score")
    for job, overrides in zip(jobs, _differences(jobs), strict=True):
        score = "failed" if job["error"] else f"{job['score']:.4f}"
        table.add_row(Path(job["run_dir"]).name, overrides, score)
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
    """Of each row's overrides, those that tell the rows apart."""
    shared = set.intersection(*(set(row["overrides"]) for row in rows)) if rows else set()
    return [" ".join(one for one in row["overrides"] if one not in shared) for row in rows]
