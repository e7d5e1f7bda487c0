"""The few things that loggers need of us: where to write, W&B offline where its server isn't, and a proper end."""

import inspect
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from ..errors import UserError, did_you_mean, listed
from .event_files import EventFiles
from .show import step_of
from .wandb_run import describe, keep_code

FIRST_ANSWER = 1.0  # seconds until W&B's server must have taken a connection; offline without
OPENING, CLOSING = 5.0, 5.0  # seconds that opening and closing a run on the server may take
# W&B's error reports, and its question who is logged in, wait for a silent server in their own time: 10 s each or more.
UNHURRIED = {"WANDB_ERROR_REPORTING": "false", "WANDB__DISABLE_VIEWER": "true"}
# Where a variable's name isn't that of the option.
VARIABLES = {"group": "WANDB_RUN_GROUP", "id": "WANDB_RUN_ID"}
# No options: `settings` could send the key to the server of a stranger's run; W&B's variables say the same.
OURS = {"self", "kwargs", "save_dir", "log_dir", "settings"}

log = logging.getLogger(__name__)


def tensorboard(
    run_dir: str,
    name: str | None = None,
    version: int | str | None = None,
    prefix: str | None = None,
    sub_dir: str | None = None,
    default_hp_metric: bool = False,
    max_queue: int = 10,
    flush_secs: int = 120,
    filename_suffix: str = "",
) -> TensorBoardLogger:
    """Event files in `run_dir/tensorboard`; `tensorboard --logdir logs` shows all runs and sweeps.

    The options are those of Lightning's TensorBoardLogger and of its SummaryWriter. They stand here by their names, so
    that a wrong one is found before anything is loaded; SummaryWriter has no types, and its own word is a traceback.
    """
    return EventFiles(
        run_dir,
        name=name or "tensorboard",
        version=version or "",
        prefix=prefix or "",
        sub_dir=sub_dir,
        default_hp_metric=default_hp_metric,
        max_queue=max_queue,
        flush_secs=flush_secs,
        filename_suffix=filename_suffix,
    )


def wandb(run_dir: str, sweep_dir: str, project: str, entity: str | None = None, **options: Any) -> WandbLogger:
    """One W&B run for `run_dir`, grouped by sweep; offline when there is no API key or no network.

    A run that is resumed in its folder goes on under its old id. The `options` are those of Lightning's WandbLogger and
    of `wandb.init`, and come first, W&B's own variables (WANDB_NAME, ...) second; raises UserError for any other.
    """
    for name, value in UNHURRIED.items():
        os.environ.setdefault(name, value)
    import wandb as library  # a second, only for those who use it

    chosen = _known(options, WandbLogger, library.init)
    mode = "offline" if chosen.pop("offline", False) else chosen.pop("mode", None)
    reason = _why_offline(library, mode or os.environ.get("WANDB_MODE") or "online")
    save_dir = chosen.pop("dir", None) or os.environ.get("WANDB_DIR", run_dir)
    if reason:
        _log_offline(reason, save_dir)
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    in_sweep = Path(run_dir).absolute().is_relative_to(Path(sweep_dir).absolute())
    goes_on, run_id = _run_id(Path(run_dir))
    ours = {
        "name": "_".join(Path(run_dir).parts[-2:]) if in_sweep else Path(run_dir).name,
        "group": Path(sweep_dir).name if in_sweep else None,
        "job_type": "sweep" if in_sweep else "train",
        "id": run_id,
        "resume": "allow" if goes_on else None,
    }
    limits = {"init_timeout": OPENING, "finish_timeout": CLOSING, "finish_timeout_raises": True}
    limits |= {"silent": True} if reason else {}
    return WandbLogger(
        save_dir=save_dir,
        project=project,
        entity=entity,
        # Not Lightning's `offline=True`: that sets WANDB_MODE for all later jobs, and W&B has read it by now.
        mode="offline" if reason else mode,
        settings=library.Settings(**_unless_said(limits)),
        **_unless_said(ours) | chosen,
    )


def _known(options: dict[str, Any], *takers: Callable[..., Any]) -> dict[str, Any]:
    """The options of W&B that have a value; raises UserError for one that none of `takers` knows."""
    known = {name for taker in takers for name in inspect.signature(taker).parameters} - OURS
    for name in set(options) - known:
        raise UserError(
            f"there is no logger.wandb.{name}; {did_you_mean(name, known)}there are {listed(sorted(known), 99)}"
        )
    return {name: value for name, value in options.items() if value is not None}


def _unless_said(defaults: dict[str, Any]) -> dict[str, Any]:
    """Those that no variable of W&B's says otherwise: a value that is handed over would go before it."""
    return {
        name: value
        for name, value in defaults.items()
        if VARIABLES.get(name, f"WANDB_{name.upper()}") not in os.environ
    }


def _log_offline(reason: str, save_dir: str) -> None:
    runs = f"{os.path.relpath(save_dir)}/wandb/offline-run-*"
    log.info(f"W&B: {reason}, so this run is kept offline; upload it with: wandb sync {runs}")


def _why_offline(library: Any, mode: str) -> str | None:
    if mode in ("offline", "dryrun"):
        return f"mode={mode}"
    if mode == "disabled":
        return None
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


def _run_id(run_dir: Path) -> tuple[bool, str]:
    """Whether this folder's run was logged before, and its W&B id, which a second try and a run that goes on keep."""
    path, new = run_dir / "wandb-id", False
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x") as file:
        new = bool(file.write(os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)))
    return not new, path.read_text()


def log_hyperparameters(
    loggers: Iterable[Logger], hyperparameters: dict[str, Any], directions: Mapping[str, str] | None = None
) -> None:
    """Hand all hyperparameters to every logger, flattened to `data/batch_size` and the like.

    `directions` say whether the best value of a metric of the validation is its `max` or its `min`.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            _open(logger)
            describe(logger.experiment, directions or {})
            keep_code(logger.experiment)
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
            if isinstance(logger, EventFiles):
                logger.close()
        if "wandb" in sys.modules and (run := sys.modules["wandb"].run):
            try:
                run.finish(exit_code=int(failed))
            except TimeoutError:
                folder = os.path.relpath(Path(run.dir).parent)
                rest = f"all data is on disk; upload it with: wandb sync --no-skip-online {folder}"
                log.info(f"W&B: the server stopped answering, but {rest}")


def log_score(trainer: Trainer, score: float, metrics: dict[str, float], status: str = "finished") -> None:
    """Hand the run's score and the `metrics` of its best checkpoint to every logger, so that runs compare in each.

    Those of the validation are `best/val/...`: the curves of `val/...` end with the last epoch. W&B has the `status`,
    too, "finished" or "pruned".
    """
    final = {"score": score} | {name.replace("val/", "best/val/"): value for name, value in metrics.items()}
    step = step_of(trainer)
    for logger in trainer.loggers if trainer.is_global_zero else ():
        if isinstance(logger, EventFiles):
            logger.start_again_at(step)  # where nothing was left to train
        if isinstance(logger, TensorBoardLogger):  # its HPARAMS page lists a run only with a metric beside them
            logger.log_hyperparams(logger.hparams, final, step)
        else:
            logger.log_metrics(final, step=step)
        if isinstance(logger, WandbLogger):
            logger.experiment.summary["status"] = status
