"""Hydra's sweeper, without composing every job's config twice: Hydra looks for sweepers in `hydra_plugins`.

Hydra composes the configs of all jobs to see that they are right before the first one starts, forgets them, and
composes each again when its job begins: a tenth of a second that a job on cached features notices.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ComposedOnce(ConfigLoaderImpl):
    """A loader that hands each config out once that it was told to `keep`."""

    def __init__(self, loader: ConfigLoader) -> None:
        vars(self).update(vars(loader))  # it takes the other one's place
        self.kept: defaultdict[tuple[str, ...], list[DictConfig]] = defaultdict(list)

    def keep(self, master_config: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
        """Compose the configs of all jobs; raises what composing raises."""
        configs = [super(ComposedOnce, self).load_sweep_config(master_config, list(job)) for job in jobs]
        for job, config in zip(jobs, configs, strict=True):
            self.kept[tuple(job)].append(config)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The job's config; the caller may change it."""
        kept = self.kept[tuple(sweep_overrides)]
        return kept.pop() if kept else super().load_sweep_config(master_config, sweep_overrides)


class Sweeper(BasicSweeper):
    """BasicSweeper, whose check of all configs comes to those that the launcher gets."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Put the loader in place that remembers."""
        self.loader = ComposedOnce(hydra_context.config_loader)
        context = HydraContext(config_loader=self.loader, callbacks=hydra_context.callbacks)
        super().setup(hydra_context=context, task_function=task_function, config=config)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose the configs of all jobs; raises what composing raises."""
        assert self.config is not None, "call setup() first"
        self.loader.keep(self.config, batch)


@dataclass
class _SweeperConf(BasicSweeperConf):
    _target_: str = "hydra_plugins.composed_once.Sweeper"


_node: Any = _SweeperConf
ConfigStore.instance().store(group="hydra/sweeper", name="composed_once", node=_node, provider="headstart")
