"""One idea a file."""

from headstart.callbacks.epoch_line import EpochLine
from headstart.callbacks.history import History
from headstart.callbacks.stopwatch import Stopwatch

__all__ = ["EpochLine", "History", "Stopwatch"]
