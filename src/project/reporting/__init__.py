"""What a run leaves behind, and what it says last."""

from .report import report
from .results import finished_score, write_interrupted
from .tables import print_metrics

__all__ = ["finished_score", "print_metrics", "report", "write_interrupted"]
