"""Jobs on a cluster of Ray, whose processes are told where the sweep is."""

import os
from collections.abc import Sequence
from typing import Any

from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher  # pyright: ignore[reportMissingImports]
from omegaconf import OmegaConf

from ...errors import UserError

PLACE = "HEADSTART_SWEEP_STARTED_IN"


class ClusterLauncher(RayLauncher):
    """Ray's launcher, whose jobs run where the sweep was started, on every node.

    Ray runs them where `ray start` was typed: relative paths would mean something else there. A job whose node goes
    away is begun again by Ray, and goes on from its checkpoint.
    """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Run the jobs; returns what Hydra wants to know of each."""
        here = {"env_vars": {PLACE: os.getcwd()}, "worker_process_setup_hook": f"{__name__}.go_there"}  # noqa: PTH109
        told = OmegaConf.to_container(self.ray_cfg, resolve=True)
        self.ray_cfg = OmegaConf.merge({"init": {"runtime_env": here}}, told)
        try:
            return super().launch(job_overrides, initial_job_idx)
        except ConnectionError as error:
            raise UserError(f"hydra.launcher.ray.init.address={self.ray_cfg.init.address}: {error}") from error


def go_there() -> None:
    """Run by each process of Ray, before its first job."""
    os.chdir(os.environ[PLACE])
