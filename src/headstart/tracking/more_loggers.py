"""Other trackers' loggers, each an extra: their servers are named by their own variables, never by a config.

A config may come from a stranger's folder, and would send a key there.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger

from ..errors import UserError


def mlflow(run_dir: str, project: str, save_dir: str = "logs") -> MLFlowLogger:
    """A run of MLflow's, in `save_dir/mlflow.db` unless MLFLOW_TRACKING_URI names a server.

    MLflow 3 has given up folders for SQLite. A run that is gone on with is a new one there.
    """
    _import("mlflow", "mlflow")
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{save_dir}/mlflow.db"
    return MLFlowLogger(project, Path(run_dir).name, address, artifact_location=f"{Path(run_dir).absolute()}/mlflow")


def aim(run_dir: str, project: str, save_dir: str = "logs") -> Logger:
    """A run of Aim's, in `save_dir/.aim`: `aim up --repo logs` shows it."""
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    logger: Any = _import("aim.pytorch_lightning", "aim").AimLogger
    silent: Any = {"system_tracking_interval": None, "capture_terminal_logs": False}
    silent["log_system_params"] = False  # all variables of the environment would be among them, and keys among these
    return logger(repo=save_dir, experiment=project, run_name=Path(run_dir).name, **silent)


def _import(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(f"logger={extra}: no package {error.name} is installed: pip install -e .[{extra}]") from error
