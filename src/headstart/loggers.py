"""The few things that loggers need of us: where to write, an offline road for W&B, and a proper end."""

import logging
import os
import re
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

CONNECT_TIMEOUT = 3.0  # seconds; W&B's own would hold a run up for minutes

log = logging.getLogger(__name__)


def tensorboard(run_dir: str) -> TensorBoardLogger:
    """Event files in `run_dir/tensorboard`; `tensorboard --logdir logs` shows all runs and sweeps."""
    return TensorBoardLogger(run_dir, name="tensorboard", version="", default_hp_metric=False)


def wandb(run_dir: str, sweep_dir: str, project: str, entity: str | None = None) -> WandbLogger:
    """One W&B run for `run_dir`, grouped by sweep; offline when there is no API key or no network.

    A run that is resumed in its folder goes on under its old id.
    """
    import wandb as library  # a second, only for those who use it

    reason = _why_offline(library)
    if reason:
        runs = f"{os.path.relpath(run_dir)}/wandb/offline-run-*"
        log.info(f"W&B: {reason}, so this run is kept offline; upload it with: wandb sync {runs}")
    Path(run_dir).mkdir(parents=True, exist_ok=True)
    in_sweep = Path(run_dir).absolute().is_relative_to(Path(sweep_dir).absolute())
    run_id = _earlier_id(Path(run_dir))
    return WandbLogger(
        name="_".join(Path(run_dir).parts[-2:]) if in_sweep else Path(run_dir).name,
        save_dir=run_dir,
        project=project,
        entity=entity,
        group=Path(sweep_dir).name if in_sweep else None,
        id=run_id,
        resume="allow" if run_id else None,
        # Not Lightning's `offline=True`: that sets WANDB_MODE for all later jobs, and W&B has read it by now.
        mode="offline" if reason else None,
        settings=library.Settings(silent=reason is not None),
    )


def _why_offline(library: Any) -> str | None:
    mode = os.environ.get("WANDB_MODE", "online")
    if mode != "online":
        return None if mode == "disabled" else f"WANDB_MODE={mode}"
    if not library.login(prompt=False, verify=False):
        return "no API key"
    server = urlsplit(library.setup().settings.base_url)
    port = server.port or {"http": 80}.get(server.scheme, 443)
    try:
        socket.create_connection((server.hostname, port), timeout=CONNECT_TIMEOUT).close()
    except OSError:
        return f"no connection to {server.hostname}"
    return None


def _earlier_id(run_dir: Path) -> str | None:
    """The W&B id under which this folder's run was logged before; W&B's own folder names end in it."""
    names = sorted(path.name for path in run_dir.glob("wandb/*run-*"))
    match = re.fullmatch(r"(?:offline-)?run-\d+_\d+-(\w+)", names[-1]) if names else None
    return match[1] if match else None


def log_hyperparameters(loggers: Iterable[Logger], hyperparameters: dict[str, Any]) -> None:
    """Hand all hyperparameters to every logger, flattened to `data/batch_size` and the like."""
    for logger in loggers:
        logger.log_hyperparams(hyperparameters)


def close(loggers: Iterable[Logger], failed: bool) -> None:
    """End every logger's run, so that the next job of a sweep starts its own, and a failed one says so."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
    if "wandb" in sys.modules and (run := sys.modules["wandb"].run):
        run.finish(exit_code=int(failed))


def log_score(loggers: Iterable[Logger], score: float, step: int) -> None:
    """Hand the run's score to every logger, so that runs can be sorted by it in each of them."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):  # its HPARAMS page lists a run only with a metric beside them
            logger.log_hyperparams(logger.hparams, {"score": score}, step)
        else:
            logger.log_metrics({"score": score}, step=step)
