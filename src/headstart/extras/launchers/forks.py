"""Several jobs at once on this machine's cores, in processes that begin with all that this one has imported."""

import importlib
import io
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from multiprocessing.util import Finalize
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import open_dict

from ...errors import UserError
from ...machine import Interrupted, quick_imports, usable_cores
from .stopping import StoppableTask, await_signals, passed_on, stopped_by

FORK = "fork"

_sweep: "ForksLauncher"  # of which a forked process knows all


class ForksLauncher(Launcher):
    """Runs `n_jobs` jobs at once, or as many as there are cores, each on its share of them; prints one after another.

    A process takes one job after another, so that it reads images and backbone once. The first job has all cores, as it
    computes the features of all. Importing torch for each process, as joblib does, takes as long as ten heads.
    """

    def __init__(self, n_jobs: int, imports: Sequence[str]) -> None:
        self.n_jobs, self.imports = min(n_jobs, usable_cores()), imports
        self.pool: ProcessPoolExecutor | None = None

    def setup(self, *, hydra_context: Any, task_function: Callable[[Any], Any], config: Any) -> None:
        """Take what Hydra gives a launcher; raises UserError where processes can't be forked."""
        if FORK not in multiprocessing.get_all_start_methods() or sys.platform == "darwin":
            raise UserError("hydra/launcher=forks is for Linux: take hydra/launcher=joblib, or leave it out")
        self.config, self.hydra_context, self.task = config, hydra_context, StoppableTask(task_function)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; returns what each returned, or raises Interrupted."""
        setup_globals()
        jobs = list(enumerate(job_overrides, start=initial_job_idx))
        returned: list[JobReturn] = []
        try:
            with passed_on() as came:
                if self.pool is None:
                    self.pool = self._fork()
                    returned.append(self._submit(*jobs.pop(0), usable_cores()).result())
                waiting = [self._submit(*job, usable_cores() // self.n_jobs) for job in jobs if not came]
                returned += [one.result() for one in waiting]
        except BrokenProcessPool as error:
            way_out = f"go on with python train.py -m resume={self.config.hydra.sweep.dir} hydra.launcher.n_jobs=1"
            raise UserError(f"a job's process was killed, maybe as there was no memory left: {way_out}") from error
        for one in returned:
            if isinstance(one._return_value, Interrupted):  # one job alone was signalled
                raise one._return_value
        return returned

    def _fork(self) -> ProcessPoolExecutor:
        """Processes that have done nothing yet: no thread, no device and no connection is shared with them."""
        global _sweep
        _sweep = self
        with quick_imports():
            for module in self.imports:
                importlib.import_module(module)
        pool = ProcessPoolExecutor(self.n_jobs, multiprocessing.get_context(FORK), await_signals)
        Finalize(
            None, pool.shutdown, kwargs={"cancel_futures": True}, exitpriority=11
        )  # before its queue is closed, with 10
        return pool

    def _submit(self, number: int, overrides: Sequence[str], threads: int) -> "Future[JobReturn]":
        assert self.pool is not None
        return self.pool.submit(_run, number, list(overrides), threads)


def _run(number: int, overrides: list[str], threads: int) -> JobReturn:
    """Run a job in a forked process; what it prints comes as a whole, when it has ended."""
    import torch

    if stop := stopped_by():
        return JobReturn(status=JobStatus.COMPLETED, _return_value=stop)
    torch.set_num_threads(max(1, threads))
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            done = _run_job(number, overrides)
    finally:
        said = f"\t#{number} : {' '.join(filter_overrides(overrides))}\n"
        sys.stdout.write(said + printed.getvalue())
        sys.stdout.flush()
    return JobReturn(status=done.status, _return_value=done._return_value)


def _run_job(number: int, overrides: list[str]) -> JobReturn:
    config = _sweep.hydra_context.config_loader.load_sweep_config(_sweep.config, overrides)
    with open_dict(config):
        config.hydra.job.id, config.hydra.job.num = str(number), number
    HydraConfig.instance().set_config(config)
    return run_job(_sweep.task, config, "hydra.sweep.dir", "hydra.sweep.subdir", _sweep.hydra_context)
