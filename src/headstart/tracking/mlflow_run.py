"""MLflow's logger, an extra: its server is named by its own variable, never by a config.

A config may come from a stranger's folder, and would send a key there.
"""

import os
from importlib import import_module
from pathlib import Path

from lightning.pytorch.loggers import MLFlowLogger

from ..errors import UserError


def mlflow(run_dir: str, project: str, save_dir: str = "logs") -> MLFlowLogger:
    """A run of MLflow's, in `save_dir/mlflow.db` unless MLFLOW_TRACKING_URI names a server.

    MLflow 3 has given up folders for SQLite. A run that is gone on with is a new one there.
    """
    try:
        import_module("mlflow")  # seconds, only for those who use it
    except ModuleNotFoundError as error:
        raise UserError(f"logger=mlflow: no package {error.name} is installed: pip install -e .[mlflow]") from error
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{save_dir}/mlflow.db"
    return MLFlowLogger(project, Path(run_dir).name, address, artifact_location=f"{Path(run_dir).absolute()}/mlflow")
