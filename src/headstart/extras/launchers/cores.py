"""Several jobs at once on this machine's cores."""

from collections.abc import Callable, Sequence
from typing import Any

from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher

from ...machine import usable_cores
from .stopping import StoppableTask, WaitingJobs, passed_on


class CoresLauncher(JoblibLauncher):
    """joblib's launcher, for `n_jobs` jobs at once, or as many as there are cores or jobs, which share the cores.

    A signal to the sweep ends all of its jobs, and each saves first.
    """

    def __init__(self, n_jobs: int) -> None:
        super().__init__()
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: Any, task_function: Callable[[Any], Any], config: Any) -> None:
        """Take what Hydra gives a launcher."""
        task = StoppableTask(task_function)
        super().setup(hydra_context=hydra_context, task_function=task, config=config)

    def at_once(self, jobs: int) -> int:
        """How many of so many jobs run at once."""
        return min(jobs, usable_cores(), self.n_jobs)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Run the jobs; returns what Hydra wants to know of each, or raises Interrupted."""
        n_jobs = max(1, self.at_once(len(job_overrides)))
        # One at a time, so that none waits in a process that has begun it and may be stopped.
        self.joblib = {"n_jobs": n_jobs, "pre_dispatch": "n_jobs", "batch_size": 1}
        if n_jobs > 1:
            self.joblib["inner_max_num_threads"] = max(1, usable_cores() // n_jobs)
        with passed_on() as came:
            returned = super().launch(WaitingJobs(job_overrides, came), initial_job_idx)
        for one in returned:
            if isinstance(one._return_value, SystemExit):  # one job alone was signalled
                raise one._return_value
        return returned
