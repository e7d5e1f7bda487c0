"""What became of a sweep's jobs, as their own folders say: the input of its table, of sweep.csv and of its page."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from headstart.resume.own_folder import is_held
from headstart.runs import JOB_NOTE, read_results

NO_END = "no end: it runs, or was killed"
GOING_ON = "resume"  # what a job that was gone on with was told beside the rest
REPEATS = ("seed", "data.fold")  # jobs that differ in these alone are one and the same again
MISSING = ""  # of an override that another job has


@dataclass(frozen=True)
class Job:
    """A job of a sweep: `overrides` are what it was told; there is a `score` or an `error`."""

    number: int
    folder: Path
    overrides: tuple[str, ...]
    score: float | None = None
    error: str | None = None
    results: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.name

    @cached_property
    def status(self) -> str:
        """How it stands with it: finished, pruned, failed, interrupted, running or killed."""
        if self.error is None:
            return "pruned" if self.results.get("status") == "pruned" else "finished"
        if self.error != NO_END:
            return "failed"
        if is_held(self.folder):
            return "running"
        return "interrupted" if self.results.get("status") == "interrupted" else "killed"

    def value(self, key: str) -> str:
        """What it was told for a key; nothing where it wasn't told."""
        said = {name.lstrip("+~"): value for name, _, value in (one.partition("=") for one in self.overrides)}
        return said.get(key, MISSING)


class SweepFolder:
    """A sweep's folder, while it runs and afterwards."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @cached_property
    def jobs(self) -> list[Job]:
        """In the order in which they began."""
        return sorted(map(_job, self.path.rglob(JOB_NOTE)), key=lambda job: job.number)

    @cached_property
    def finished(self) -> list[Job]:
        """Those with a score that weren't pruned, the best first; of equal ones the first that began."""
        scored = [(job.score, job) for job in self.jobs if job.score is not None and job.status == "finished"]
        return [job for _, job in sorted(scored, key=lambda pair: (self._order * pair[0], pair[1].number))]

    @cached_property
    def others(self) -> list[Job]:
        """All others."""
        return [job for job in self.jobs if job not in self.finished]

    @cached_property
    def monitor(self) -> str:
        """The metric that scores are of."""
        return next((job.results["monitor"] for job in self.finished if "monitor" in job.results), "score")

    @cached_property
    def keys(self) -> list[str]:
        """The keys for which jobs were told different values, in the order in which they were typed."""
        known = dict.fromkeys(one.partition("=")[0].lstrip("+~") for job in self.jobs for one in job.overrides)
        return [key for key in known if key != GOING_ON and len({job.value(key) for job in self.jobs}) > 1]

    @cached_property
    def means(self) -> list[dict[str, Any]]:
        """Mean and spread over jobs that differ in their seed or fold alone, where there are two or more of them.

        The best mean comes first. `std` is the sample standard deviation (divided by jobs - 1), None for one score.
        """
        together: defaultdict[tuple[str, ...], list[Job]] = defaultdict(list)
        for job in self.jobs:
            together[tuple(job.value(key) for key in self.keys if key not in REPEATS)].append(job)
        repeated = [jobs for jobs in together.values() if len(jobs) > 1 and set(REPEATS) & set(self.keys)]
        rows = [self._mean(jobs) for jobs in repeated]
        return sorted(rows, key=lambda row: (row["mean"] is None, self._order * (row["mean"] or 0)))

    @cached_property
    def equal_seeds(self) -> list[Job]:
        """The jobs that differ in their seed, and in none of their metrics: their mean says nothing of its spread.

        solver=lbfgs has one solution for a head, so that only a seed that draws splits, views or folds can matter.
        """
        together: defaultdict[str, list[Job]] = defaultdict(list)
        for job in self.finished if "seed" in self.keys else ():
            if "metrics" in job.results:
                told = [job.value(key) for key in self.keys if key != "seed"]
                together[json.dumps([told, job.results["metrics"]], sort_keys=True)].append(job)
        equal = [job for jobs in together.values() if len(jobs) > 1 for job in jobs]
        return sorted(equal, key=lambda job: job.number)

    @cached_property
    def importance(self) -> dict[str, float]:
        """How much of the differences between scores each parameter explains, where a search has told; sums to 1."""
        path = self.path / "importance.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def best_so_far(self, scores: Sequence[float]) -> list[float]:
        """The best of the scores up to each of them."""
        return list(accumulate(scores, lambda *pair: sorted(pair, key=lambda score: self._order * score)[0]))

    @cached_property
    def _order(self) -> int:
        """The sign by which the best score comes first."""
        return 1 if any(job.results.get("best") == "min" for job in self.jobs) else -1

    def _mean(self, jobs: Sequence[Job]) -> dict[str, Any]:
        scores = [job.score for job in jobs if job.score is not None]
        told = {key: jobs[0].value(key) for key in self.keys if key not in REPEATS}
        spread = {"mean": mean(scores) if scores else None, "std": stdev(scores) if len(scores) > 1 else None}
        return {"overrides": told, "jobs": len(jobs), "scores": scores, **spread}


def _job(path: Path) -> Job:
    said, folder = json.loads(path.read_text()), path.parents[1]
    return Job(said["job"], folder, tuple(said["overrides"]), said["score"], said["error"], read_results(folder))
