"""What a run leaves behind, and what it says last."""

from headstart.reporting.report import report
from headstart.reporting.results import finished_score, write_interrupted
from headstart.reporting.terminal import print_metrics

__all__ = ["finished_score", "print_metrics", "report", "write_interrupted"]
