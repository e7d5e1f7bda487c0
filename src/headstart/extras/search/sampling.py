"""A sampler whose draws depend on a trial's number, so that a search that was interrupted draws what it would have."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.utils import instantiate
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GridSampler, QMCSampler
from optuna.trial import FrozenTrial, TrialState

ONE_SEQUENCE = (GridSampler, QMCSampler)  # whose seed names what all trials are taken from
KNOWN = ("optuna.samplers.*", "hydra_plugins.hydra_optuna_sweeper.*")  # what a config may choose


class SeededByTrial(BaseSampler):
    """What `make` makes of a seed, made anew for each trial: of `seed` plus the trial's number.

    Optuna's samplers begin their random numbers again with the process: a search that goes on would draw the first
    trials' values a second time, and so would a second process.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self.make, self.seed = make, seed
        self.sampler = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin the random numbers of a trial."""
        if not isinstance(self.sampler, ONE_SEQUENCE):
            self.sampler = self.make(self.seed + trial.number)
        self.sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Let the sampler learn from a trial that has ended; all that a grid's does is stop a loop that isn't here."""
        if not isinstance(self.sampler, GridSampler):
            self.sampler.after_trial(study, trial, state, values)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The sampler's own."""
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        """The sampler's own."""
        return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """The sampler's own."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)


def seeded_sampler(config: Mapping[str, Any], points: Mapping[str, Sequence[Any]] | None) -> SeededByTrial:
    """The sampler of a config, for a grid with the values of each parameter; of a random seed where it has none."""
    options = {key: value for key, value in config.items() if key != "seed"} | {"_partial_": True}
    make = instantiate(options | ({"search_space": points} if points else {}), _execution_whitelist_=KNOWN)
    seed = config.get("seed")
    return SeededByTrial(lambda number: make(seed=number), secrets.randbelow(2**31) if seed is None else seed)
