"""What a run leaves behind, and what it says last."""

from headstart.reporting.report import report
from headstart.reporting.terminal import print_metrics

__all__ = ["print_metrics", "report"]
