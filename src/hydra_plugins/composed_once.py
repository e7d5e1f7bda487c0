"""Hydra's sweeper, without composing every job's config twice: Hydra looks for sweepers in `hydra_plugins`.

Hydra composes the configs of all jobs to see that they are right before the first one starts, forgets them, and
composes each again when its job begins; and for each it reads and merges all files of conf/ anew: a tenth of a second
twice, that a job on cached features notices.
"""

from collections import defaultdict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import astuple, dataclass
from typing import Any, Self

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ReadOnce(CachingConfigRepository):
    """What conf/ holds; its copies, of which Hydra makes one for each job, share what was read."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copy = type(self)(self.delegate)
        copy.cache = self.cache
        return copy


class ComposedOnce(ConfigLoaderImpl):
    """A loader that hands each config out once that it was told to `keep`; those of the same choices it merges once."""

    def __init__(self, loader: ConfigLoader) -> None:
        vars(self).update(vars(loader))  # it takes the other one's place
        self.files, self.repository = self.repository, ReadOnce(self.repository)
        self.kept: defaultdict[tuple[str, ...], list[DictConfig]] = defaultdict(list)
        self.merged: dict[tuple[Any, ...], DictConfig] = {}

    def keep(self, master_config: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
        """Compose the configs of all jobs; raises what composing raises."""
        configs = [super(ComposedOnce, self).load_sweep_config(master_config, list(job)) for job in jobs]
        for job, config in zip(jobs, configs, strict=True):
            self.kept[tuple(job)].append(config)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The job's config; the caller may change it."""
        kept = self.kept[tuple(sweep_overrides)]
        return kept.pop() if kept else super().load_sweep_config(master_config, sweep_overrides)

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        """What the chosen files come to, before a job's overrides of single values."""
        choices = tuple(map(astuple, defaults))
        if choices not in self.merged:
            # From fresh files: merging takes parts of them over as they are.
            fresh = CachingConfigRepository(self.files)
            self.merged[choices] = super()._compose_config_from_defaults_list(defaults, fresh)
        return deepcopy(self.merged[choices])


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
