"""Hydra's own grid of jobs, which composes only as many of their configs before the first begins as can differ."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import HydraContext

from .errors import CONF_DIR
from .job_configs import quick
from .resume.stored_config import key_of


class GridSweeper(BasicSweeper):
    """A job for each combination of values, in their order.

    Hydra composes the config of every job beforehand, to find a choice that isn't there, and again when the job begins.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: Any) -> None:
        """Take what Hydra gives a sweeper, and give it to the launcher."""
        super().setup(hydra_context=quick(hydra_context), task_function=task_function, config=config)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Raise for a job whose config can't be, before any begins."""
        super().validate_batch_is_legal(covering(batch))


def covering(batch: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Jobs that have among them every choice of a group, and every other key, of all jobs.

    Any value goes for a key that is there, but for `hydra`'s own and where it stands for another's.
    """
    seen: set[str] = set()
    chosen: list[Sequence[str]] = []
    for overrides in batch:
        new = {_what_may_fail(one) for one in overrides} - seen
        if new:
            chosen.append(overrides)
            seen |= new
    return chosen


def _what_may_fail(override: str) -> str:
    key = key_of(override)
    is_choice = "/" in key or (CONF_DIR / key).is_dir()
    return override if is_choice or key.startswith("hydra") or "${" in override else key
