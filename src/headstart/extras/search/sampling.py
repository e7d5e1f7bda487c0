"""A sampler whose draws depend on a trial's number, so that a search that was interrupted draws what it would have."""

from collections.abc import Callable
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GridSampler, QMCSampler
from optuna.trial import FrozenTrial, TrialState

ONE_SEQUENCE = (GridSampler, QMCSampler)  # whose seed names what all trials are taken from


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
        """Let the sampler learn from a trial that has ended."""
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
