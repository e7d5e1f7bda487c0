"""What is searched only where something else was chosen: functions for hydra.sweeper.custom_search_space."""

from typing import Any


def mlp(_config: Any, trial: Any) -> None:
    """Search an MLP's width and dropout, in the trials whose head is one."""
    if trial.params.get("head") == "mlp":
        trial.suggest_categorical("head.hidden", [64, 128, 256])
        trial.suggest_float("head.dropout", 0.0, 0.5)
