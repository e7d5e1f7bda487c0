"""What a run leaves behind besides its checkpoints: results.json, plots, and the last lines on the terminal."""

from headstart.reporting.plots import plot_confusion_matrix, plot_history
from headstart.reporting.results import write_results
from headstart.reporting.terminal import print_metrics, print_outcome

__all__ = ["plot_confusion_matrix", "plot_history", "print_metrics", "print_outcome", "write_results"]
