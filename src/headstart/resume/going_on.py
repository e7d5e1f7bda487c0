"""How a run, or a sweep, goes on: what `resume=RUN` stands for, and what config a job begins with."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import execution_whitelist
from omegaconf import DictConfig, OmegaConf, read_write

from ..errors import UserError, listed
from ..files import short
from ..ranks import is_first_process, tell_others, told_by_first
from ..runs import JOB_NOTE, RUNS_DIR, SWEEP_CONFIG, SWEEPS_DIR
from .command_line import check
from .environment import load_env, with_values
from .implied import imply
from .places import check_places
from .quoting import MULTIRUN, RESUME, quoted, text_of
from .stored_config import (
    OVERRIDES,
    PRIMARY,
    RESUMED,
    StoredConfig,
    compose_with,
    flags_of,
    keep,
    key_of,
    lay_over,
    merge_overrides,
    read_stored,
    say_differences,
    told_now,
    without_resume,
)
from .trainer_values import check_sharing
from .trusted import OWN_PLACES, is_typed_here, read_plainly, refuse_strangers_code
from .typed import TRAINING, changes, refuse_fixed, refuse_idle

SUBDIR = "${hydra.job.num}"  # of a sweep's job, unless somebody says otherwise
log = logging.getLogger(__name__)

# Said anew whenever a sweep begins: a search's direction follows from what it looks for.
OF_THE_START = ("hydra.mode", "hydra.sweep.dir", "hydra.run.dir", "hydra.output_subdir", "hydra.sweeper.direction")


def begin(cfg: DictConfig, trusted: Sequence[str] = ("*",)) -> DictConfig:
    """The config of the job that begins, checked and kept in its folder; a resumed one's is what it was then.

    What was typed for that is kept by `keep_typed`. Raises UserError for what can't work, and a `_target_` that isn't
    `trusted`. Every process of a run takes the config of the first, who has drawn what is drawn at random.
    """
    try:
        return _begin(cfg, trusted)
    finally:  # else they would wait for one that has failed
        if is_first_process():
            tell_others("run_dir", HydraConfig.get().runtime.output_dir)


def _begin(cfg: DictConfig, trusted: Sequence[str]) -> DictConfig:
    hydra: Any = HydraConfig.get()
    first = is_first_process()
    if not first and (folder := told_by_first("run_dir")):
        with read_write(hydra):
            hydra.runtime.output_dir = folder
    run_dir, typed, is_job = Path(hydra.runtime.output_dir), told_now(hydra), hydra.mode == RunMode.MULTIRUN
    stored = read_stored(run_dir) if cfg.resume or not first else None
    before = stored or StoredConfig(OmegaConf.to_container(cfg), typed, [])  # pyright: ignore (what Hydra has written)
    new = [one for one in typed if not stored or one not in stored.overrides]
    if stored and (is_job or not cfg.resume):
        cfg = gone_on(stored, new, *([f"{RESUME}{quoted(str(cfg.resume))}"] if cfg.resume else []))
    check_places(check(cfg, trusted))
    check_sharing(cfg)
    say_idle(new, cfg)
    cfg = with_values(cfg, tuple(OWN_PLACES))
    if stored and not is_job and any((run_dir / "checkpoints").glob("[ln]*.ckpt")):
        refuse_fixed(stored.values, cfg)  # for a sweep's job, once it is known that it has not ended
    if stored and first:
        say_differences(stored, cfg)
    elif first:
        keep(cfg, typed, run_dir, before)
    if not cfg.resume and is_begun_again(run_dir):
        cfg.resume = cfg.sweep_dir
    return cfg


def is_begun_again(run_dir: Path) -> bool:
    """Whether this is a sweep's job whose process was stopped, and whose scheduler has begun it once more.

    A sweep has its folder for itself: what trained there before was this job, or one that `hydra.sweep.subdir` doesn't
    tell from it, which has a note of another number there.
    """
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN or not any((run_dir / "checkpoints").glob("[ln]*.ckpt")):
        return False
    return {path.name for path in run_dir.glob(JOB_NOTE)} <= {Path(JOB_NOTE).name.replace("*", str(hydra.job.num))}


def say_idle(typed: list[str], cfg: DictConfig) -> None:
    """Raise UserError for what was typed and does nothing; in a sweep, where other jobs may want it, warn of it."""
    try:
        refuse_idle(map(key_of, typed), cfg)
    except UserError as error:
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            raise
        log.warning(str(error))


def keep_typed(cfg: DictConfig, checkpoint: Path | None, ended: str | None) -> None:
    """Say where a run goes on, and write down what was typed for it, once nothing speaks against that any more.

    Raises UserError where it can't hold, as there is a `checkpoint`, or the run has `ended`, as the text says.
    """
    run_dir = Path(cfg.run_dir)
    if stored := read_stored(run_dir):
        if checkpoint:
            refuse_fixed(stored.values, cfg)
        if ended and (waiting := changes(stored.values, cfg, TRAINING)):
            raise UserError(f"nothing would come of {listed(waiting, 3)}, as {ended}")
        if is_first_process():
            keep(cfg, merge_overrides(stored.overrides, told_now(HydraConfig.get())), run_dir, stored)
    log.info(f"resuming from {short(checkpoint) if checkpoint else 'the beginning: nothing was saved yet'}")


@contextmanager
def going_on(run_dir: Path, typed: list[str], trusted: tuple[str, ...]) -> Iterator[DictConfig]:
    """The config of a run, for the other scripts; inside, `instantiate` makes what is `trusted`."""
    load_env()
    stored = stored_run(run_dir)
    cfg = gone_on(stored, typed)
    say_differences(stored, cfg)
    with execution_whitelist(trusted):
        yield cfg


def gone_on(stored: StoredConfig, typed: list[str], *places: str) -> DictConfig:
    """The config of a run, with what was typed now laid over it."""
    values = lay_over(stored, typed, implied_now(stored, typed))
    return compose_with([f"--config-name={RESUMED}"], [*values, *places])


def implied_now(stored: StoredConfig, typed: list[str]) -> list[str]:
    """What is implied by what was typed for a run, unless the run had it before."""
    model = stored.values.get("model", {})
    had = {"solver=adamw": "optimizer" in model, "strategy=finetune": bool(model.get("strategy"))}
    return [one for one in imply(typed)[len(typed) :] if not had.get(one)]


def expand_resume(arguments: list[str]) -> list[str]:
    """What is typed and implied, and what `resume=` stands for if it names a run or a sweep.

    Raises UserError when that is no run and no sweep, or one that was stopped before it could write down what it was.
    """
    given = [text_of(argument) for argument in arguments if argument.startswith(RESUME)]
    if not given or given[-1] in ("", "null"):
        return imply(arguments)
    is_sweep = any(flag in arguments for flag in MULTIRUN)
    folder = _latest(is_sweep) if given[-1] == "latest" else Path(given[-1])
    typed = [argument for argument in arguments if not argument.startswith(RESUME) and argument not in MULTIRUN]
    place = quoted(str(folder))
    # What a job was told, `begin` writes.
    again = [f"{RESUME}{place}", "hydra.output_subdir=null"]
    if is_sweep or (folder / SWEEP_CONFIG).exists():
        flags, told = sweep_overrides(folder, typed)
        return imply(["-m", *flags, *merge_overrides(told, [*typed, *again, f"hydra.sweep.dir={place}"])])
    stored = stored_run(folder)
    flags = [argument for argument in typed if argument.startswith("-")]
    typed = [argument for argument in typed if argument not in flags]
    refuse_other_flags(stored.flags, flags)
    kept = [flag for flag in flags if not flag.startswith("--config-")]
    values = lay_over(stored, typed, implied_now(stored, typed))
    return [*kept, f"--config-name={RESUMED}", *values, *again, f"hydra.run.dir={place}"]


def stored_run(run_dir: Path) -> StoredConfig:
    """The config that a run was started, or last resumed, with; raises UserError where there is none."""
    if stored := read_stored(run_dir):
        return stored
    raise UserError(
        f"{run_dir} is not the folder of a run, or of one that was stopped before it began: there is no whole "
        f"{run_dir / '.hydra' / OVERRIDES} with its config.yaml"
    )


def refuse_other_flags(then: list[str], now: list[str]) -> None:
    """Raise UserError where a run shall go on with other configs than it began with."""
    for flag in now:
        if flag.startswith("--config-") and flag not in then and flag != f"--config-name={RESUMED}":
            began = " ".join(then) or f"--config-name={PRIMARY}"
            raise UserError(f"{flag}: the run began with {began}, and goes on with its own config; leave the flag out")


def sweep_overrides(sweep_dir: Path, typed: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """The flags and overrides that a sweep was started with.

    Raises UserError for none, and where one could run code and was neither typed in this checkout nor is typed now.
    """
    path = sweep_dir / SWEEP_CONFIG
    content, keys = read_plainly(path), {key_of(one) for one in typed}
    try:
        hydra = content["hydra"]
        told, machinery = hydra["overrides"]["task"], list(hydra["overrides"].get("hydra", []))
        subdir = hydra.get("sweep", {}).get("subdir", SUBDIR)
        if subdir != SUBDIR and not any(key_of(one) == "hydra.sweep.subdir" for one in machinery):
            machinery.append(f"hydra.sweep.subdir={quoted(str(subdir))}")  # which conf/ said then
        kept = [one for one in machinery if key_of(one) not in {*OF_THE_START, *keys}]
        flags = flags_of(content)
        refuse_strangers_code(told, path)
        refuse_strangers_code(kept, path)
        for flag in flags:
            if flag.split("=")[0] not in keys and not is_typed_here(flag):
                raise UserError(f"{path} is refused, as a stranger could have written it: type {flag} again, if it is")
        return [flag for flag in flags if flag.split("=")[0] not in keys], [*without_resume(told), *kept]
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{sweep_dir} is not the folder of a sweep: there is no whole {path}") from error


def _latest(is_sweep: bool) -> Path:
    """The run, or sweep, that began last; raises UserError where there is none."""
    marks = list(SWEEPS_DIR.glob(f"*/{SWEEP_CONFIG}") if is_sweep else RUNS_DIR.glob(f"*/.hydra/{OVERRIDES}"))
    if not marks:
        raise UserError(f"resume=latest: there is nothing in {SWEEPS_DIR if is_sweep else RUNS_DIR} yet")
    newest = max(marks, key=lambda mark: mark.stat().st_mtime_ns)
    return newest.parent if is_sweep else newest.parents[1]
