"""The study of a search: where its trials are kept, which of them count, and which a stop has left open."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from ...errors import UserError
from ...resume.own_folder import SWEEP, is_held

JOURNAL = "study.journal"  # in a sweep's folder
OWNER, JOB = "sweep_dir", "job"  # of a trial: the folder of the sweep that runs it, and its job's number there
LEFT_OUT = "left_out"  # of a trial that doesn't count: why
SETTLED = 2  # seconds, by which a new database's tables are made
STRANGE = 60  # seconds: a trial that nobody owns by then was left by a process that ended as it began


def open_storage(storage: str | None, sweep_dir: str | Path) -> BaseStorage:
    """A journal in the sweep's folder, or what `storage` names: a journal's file, or the URL of a database.

    Raises UserError for one that can't be opened; an URL's password is never shown.
    """
    if not storage or "://" not in storage:
        path = Path(storage or Path(sweep_dir) / JOURNAL)
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

    try:
        with suppress(IntegrityError, ProgrammingError):  # another process is making the tables
            return RDBStorage(storage)
        time.sleep(SETTLED)
        return RDBStorage(storage)
    except ImportError as error:
        raise UserError(f"{_hidden(storage)} can't be opened: {error.__cause__ or error}; pip install it") from error
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise UserError(f"{_hidden(storage)} can't be opened: {said}") from error


def open_study(
    storage: BaseStorage, name: str, directions: Sequence[str], sampler: BaseSampler | None = None
) -> optuna.Study:
    """The study of this name, made where there is none; raises UserError where it looks for something else."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # what it says beside that, a sweep says
    wanted: Any = directions
    study = optuna.create_study(
        storage=storage, study_name=name, sampler=sampler, directions=wanted, load_if_exists=True
    )
    found = [direction.name.lower() for direction in study.directions]
    if found != list(directions):
        raise UserError(
            f"the study {name} looks for {', '.join(found)}, and this search for {', '.join(directions)}: give it "
            "another hydra.sweeper.study_name"
        )
    return study


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count: all that ended or run, but for those that another took the place of."""
    return [one for one in study.get_trials(deepcopy=False) if _counts(one)]


def own_trial(study: optuna.Study, sweep_dir: str | Path, job: int) -> FrozenTrial | None:
    """The running trial that a job of a sweep is."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    own = [one for one in running if one.user_attrs.get(OWNER) == str(Path(sweep_dir).absolute())]
    return next((one for one in own if one.user_attrs.get(JOB) == job), None)


def left_open(study: optuna.Study, sweep_dir: str | Path) -> list[FrozenTrial]:
    """The trials that a stop of this sweep left running, by job. Those that other, killed sweeps left begin anew.

    A trial can be taken from another only once: whoever ends it first lets it begin again.
    """
    own, here = [], str(Path(sweep_dir).absolute())
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        owner = trial.user_attrs.get(OWNER)
        if owner == here and JOB in trial.user_attrs:
            own.append(trial)
        elif owner == here:
            leave_out(study, trial, "its job was never begun")
        elif _is_dead(trial, owner) and leave_out(study, trial, "its sweep was stopped") and owner:
            study.enqueue_trial(trial.params)
    return sorted(own, key=lambda trial: trial.user_attrs[JOB])


def leave_out(study: optuna.Study, trial: optuna.Trial | FrozenTrial, why: str) -> bool:
    """End a trial that never ran to its end, without counting it; returns False where another process has done so."""
    try:
        study._storage.set_trial_user_attr(trial._trial_id, LEFT_OUT, why)
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, RuntimeError):  # as Optuna refuses to end what has ended
        return False
    return True


@contextmanager
def same_space(name: str) -> Any:
    """Say in one line that a study was begun with other choices than a search has now."""
    try:
        yield
    except ValueError as error:
        if "dynamic value space" not in str(error):
            raise
        raise UserError(
            f"the study {name} was begun with other choices of a parameter: search on with those, or give it another "
            "hydra.sweeper.study_name"
        ) from error


def tell(study: optuna.Study, trial: int, results: Mapping[str, Any], objectives: Sequence[str], ended: bool) -> None:
    """End a trial as its run's `results` say. One without any has failed if its job has `ended`, else it stays open."""
    status = results.get("status")
    values = values_of(results, objectives) if status == "finished" else None
    if values:
        study.tell(trial, values)
    elif status == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    elif ended or status in ("finished", "failed"):
        study.tell(trial, state=TrialState.FAIL)


def values_of(results: Mapping[str, Any], objectives: Sequence[str]) -> list[float] | None:
    """The objectives' values of a run that has ended; None where one is missing, or is no number."""
    spent = {name: value for name, value in results["seconds"].items() if name != "features"}  # which others computed
    known = {"score": results["score"], **results["metrics"], "seconds": sum(spent.values())}
    values = [known.get(name, math.nan) for name in objectives]
    return None if any(map(math.isnan, values)) else values


def _hidden(storage: str) -> str:
    """A database's URL without what may be secret."""
    return f"hydra.sweeper.storage={storage.partition('://')[0]}://..."


def _counts(trial: FrozenTrial) -> bool:
    return trial.state != TrialState.WAITING and LEFT_OUT not in trial.user_attrs


def _is_dead(trial: FrozenTrial, owner: str | None) -> bool:
    """Whether the process that runs a trial is there no more, as far as this machine can see."""
    if owner is None:
        began = trial.datetime_start or datetime.now()
        return time.time() - began.timestamp() > STRANGE
    return Path(owner).is_dir() and not is_held(Path(owner), SWEEP)
