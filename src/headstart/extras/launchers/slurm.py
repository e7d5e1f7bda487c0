"""A job of SLURM for each of a sweep's jobs, which goes on by itself when it is preempted, or its time is over."""

import logging
import signal
from collections.abc import Sequence
from typing import Any

from hydra_plugins.hydra_submitit_launcher import submitit_launcher

from ...machine import Interrupted

ASKING = [getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)]

log = logging.getLogger(__name__)
submitits_log = logging.getLogger("submitit")


class _Requeued(submitit_launcher.BaseSubmititLauncher):
    """submitit's launcher, for jobs that take its signals over: once one has saved, submitit gets what it was sent.

    It puts the job back into the queue, and counts how often its time was over. Begun again, the job finds its own
    checkpoint. SIGTERM is SLURM's own way to end a job, whether it does it again or not.
    """

    def __call__(self, *arguments: Any) -> Any:
        """Run one job, in its own process."""
        submitits_log.propagate = False
        submitits = next(filter(callable, map(signal.getsignal, ASKING)), None)
        try:
            return super().__call__(*arguments)
        except Interrupted as stop:
            if stop.signum in ASKING and callable(submitits):
                submitits(stop.signum, None)
            raise

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Send the jobs off and wait for them; returns what Hydra wants to know of each."""
        submitits_log.propagate = False  # it prints by itself
        try:
            return super().launch(job_overrides, initial_job_idx)
        except KeyboardInterrupt:
            log.warning("the jobs go on by themselves; resume= takes what they come to")
            raise


class SlurmLauncher(_Requeued, submitit_launcher.SlurmLauncher):
    """Jobs of a cluster, as one array."""


class LocalLauncher(_Requeued, submitit_launcher.LocalLauncher):
    """Processes of this machine, all at once."""
