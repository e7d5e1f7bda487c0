"""One idea a file."""

from headstart.callbacks.history import History
from headstart.callbacks.stopwatch import Stopwatch

__all__ = ["History", "Stopwatch"]
