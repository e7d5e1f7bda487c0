"""The few things that loggers need of us: where to write, W&B offline where its server isn't, and a proper end."""

import logging
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from ..errors import UserError
from .wandb_options import wandb_mode

FIRST_ANSWER = 1.0  # seconds until W&B's server must have taken a connection; offline without
OPENING, CLOSING = 5.0, 5.0  # seconds that opening and closing a run on the server may take
# W&B's error reports, and its question who is logged in, wait for a silent server in their own time: 10 s each or more.
UNHURRIED = {"WANDB_ERROR_REPORTING": "false", "WANDB__DISABLE_VIEWER": "true"}

log = logging.getLogger(__name__)


class EventFiles(TensorBoardLogger):
    """TensorBoard's event files alone: Lightning's hparams.yaml would say slowly what .hydra/config.yaml says."""

    def start_again_at(self, step: int) -> None:
        """Tell TensorBoard to drop what was logged from this step on, by a run that is gone on with from before it."""
        self.experiment.close()
        self.experiment.purge_step = step  # which the next file begins with

    def save(self) -> None:
        """Bring what was logged to the disk."""
        self.experiment.flush()


def tensorboard(run_dir: str) -> TensorBoardLogger:
    """Event files in `run_dir/tensorboard`; `tensorboard --logdir logs` shows all runs and sweeps."""
    return EventFiles(run_dir, name="tensorboard", version="", default_hp_metric=False)


def wandb(run_dir: str, sweep_dir: str, project: str, entity: str | None = None, **options: Any) -> WandbLogger:
    """One W&B run for `run_dir`, grouped by sweep; offline when there is no API key or no network.

    A run that is resumed in its folder goes on under its old id. `options` are those of `wandb.init`: tags, notes, ...

    Raises UserError for a server or a key that W&B refuses at once.
    """
    for name, value in UNHURRIED.items():
        os.environ.setdefault(name, value)
    import wandb as library  # a second, only for those who use it

    reason = _why_offline(library, wandb_mode(options)[1])
    if reason:
        _log_offline(reason, run_dir)
    Path(run_dir).mkdir(parents=True, exist_ok=True)
    in_sweep = Path(run_dir).absolute().is_relative_to(Path(sweep_dir).absolute())
    run_id = _earlier_id(Path(run_dir))
    ours: dict[str, Any] = {
        "name": "_".join(Path(run_dir).parts[-2:]) if in_sweep else Path(run_dir).name,
        "group": Path(sweep_dir).name if in_sweep else None,
        "id": run_id or secrets.token_hex(4),  # chosen here, so that a second try has the same
        "resume": "allow" if run_id else None,
        "settings": library.Settings(
            silent=reason is not None, init_timeout=OPENING, finish_timeout=CLOSING, finish_timeout_raises=True
        ),
    }
    # Not Lightning's `offline=True`: that sets WANDB_MODE for all later jobs, and W&B has read it by now.
    mode: dict[str, Any] = {"mode": "offline" if reason else options.get("mode")}
    return WandbLogger(save_dir=run_dir, project=project, entity=entity, **(ours | options | mode))


def _log_offline(reason: str, run_dir: str) -> None:
    runs = f"{os.path.relpath(run_dir)}/wandb/offline-run-*"
    log.info(f"W&B: {reason}, so this run is kept offline; upload it with: wandb sync {runs}")


def _why_offline(library: Any, mode: str) -> str | None:
    if mode not in ("online", "run"):
        return f"its mode is {mode}" if mode in ("offline", "dryrun") else None
    try:
        if not library.login(prompt=False, verify=False):
            return "no API key"
    except (library.Error, ValueError) as error:
        raise UserError(f"W&B: {' '.join(str(error).splitlines()[:3])}") from error
    server = urlsplit(library.setup().settings.base_url)
    host, port = server.hostname or "", server.port or (80 if server.scheme == "http" else 443)
    return None if _takes_connections(host, port) else f"no answer from {host} within {FIRST_ANSWER:g} s"


@cache  # the jobs of a sweep ask once
def _takes_connections(host: str, port: int) -> bool:
    """Whether a server is there: W&B itself would find out after many seconds, or wait without end."""
    taken: list[bool] = []

    def connect() -> None:
        with suppress(OSError), socket.create_connection((host, port), FIRST_ANSWER):
            taken.append(True)

    asking = Thread(target=connect, daemon=True)  # as no timeout of a socket holds for the name server
    asking.start()
    asking.join(FIRST_ANSWER)
    return bool(taken)


def _earlier_id(run_dir: Path) -> str | None:
    """The W&B id under which this folder's run was logged before; W&B's own folder names end in it."""
    names = sorted(path.name for path in run_dir.glob("wandb/*run-*"))
    match = re.fullmatch(r"(?:offline-)?run-\d+_\d+-(\w+)", names[-1]) if names else None
    return match[1] if match else None


def log_hyperparameters(loggers: Iterable[Logger], hyperparameters: dict[str, Any]) -> None:
    """Hand all hyperparameters to every logger, flattened to `data/batch_size` and the like."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            _open(logger)
        logger.log_hyperparams(hyperparameters)


def _open(logger: WandbLogger) -> None:
    """Begin the W&B run, offline when the server doesn't let us after all."""
    import wandb as library

    try:
        _ = logger.experiment
    except library.Error as error:
        _log_offline(f"the run could not be opened ({str(error).splitlines()[0]})", str(logger.save_dir))
        library.teardown()  # it would keep the run's id for the run that failed
        logger._wandb_init |= {"mode": "offline", "settings": library.Settings(silent=True)}
        _ = logger.experiment


@contextmanager
def closed_at_the_end(loggers: list[Logger]) -> Iterator[None]:
    """End every logger's run however this ends, and tell it how; the next job of a sweep then starts its own."""
    failed = True
    try:
        yield
        failed = False
    finally:
        for logger in loggers:
            logger.finalize("failed" if failed else "success")
        if "wandb" in sys.modules and (run := sys.modules["wandb"].run):
            try:
                run.finish(exit_code=int(failed))
            except TimeoutError:
                folder = os.path.relpath(Path(run.dir).parent)
                rest = f"all data is on disk; upload it with: wandb sync --no-skip-online {folder}"
                log.info(f"W&B: the server stopped answering, but {rest}")


def log_score(loggers: Iterable[Logger], score: float, step: int) -> None:
    """Hand the run's score to every logger, so that runs can be sorted by it in each of them."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):  # its HPARAMS page lists a run only with a metric beside them
            logger.log_hyperparams(logger.hparams, {"score": score}, step)
        else:
            logger.log_metrics({"score": score}, step=step)
