"""One idea a file."""

from headstart.callbacks.epoch_line import EpochLine
from headstart.callbacks.history import History
from headstart.callbacks.stopwatch import Stopwatch
from headstart.callbacks.training_means import TrainingMeans

__all__ = ["EpochLine", "History", "Stopwatch", "TrainingMeans"]
