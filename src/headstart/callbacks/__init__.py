"""One idea a file."""

from headstart.callbacks.epoch_line import EpochLine
from headstart.callbacks.finite import FiniteLoss
from headstart.callbacks.history import History
from headstart.callbacks.last_checkpoint import LastCheckpoint
from headstart.callbacks.one_curve import OneCurve
from headstart.callbacks.step_seed import StepSeed
from headstart.callbacks.stop_on_signal import StopOnSignal
from headstart.callbacks.stopwatch import Stopwatch
from headstart.callbacks.training_means import TrainingMeans
from headstart.callbacks.weight_average import WeightAverage

__all__ = [
    "EpochLine",
    "FiniteLoss",
    "History",
    "LastCheckpoint",
    "OneCurve",
    "StepSeed",
    "StopOnSignal",
    "Stopwatch",
    "TrainingMeans",
    "WeightAverage",
]
