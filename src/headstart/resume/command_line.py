"""What a command line says: what it implies, what `resume=RUN` stands for, and what of it can't work."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.utils import execution_whitelist
from omegaconf import DictConfig, OmegaConf

from ..errors import CONF_DIR, UserError, printable
from .trusted import note_typed, read_plainly, refuse_strangers_code

KEY = "resume="
MULTIRUN = ("-m", "--multirun")
RUNS_DIR, SWEEPS_DIR = Path("logs/runs"), Path("logs/sweeps")
OVERRIDES, SWEEP = "overrides.yaml", "multirun.yaml"  # what Hydra writes when a run, or a sweep, begins

DESCENT = ("model.lr", "model.weight_decay", "model.optimizer", "model.scheduler", "augment.mixup", "augment.cutmix")
OFF = ("0", "0.0", "null")  # of mixup and cutmix: as good as not said
SHARDS = re.compile(r"^(\+{0,2}data\.(?:train|val|test))=([^'\"\[].*[{|].*)", re.DOTALL)


def understand(arguments: list[str]) -> list[str]:
    """What Hydra should be told when these `arguments` were typed; raises UserError."""
    for text in (*arguments, str(Path.cwd())):
        if printable(text) != text:
            raise UserError(f"{text} isn't UTF-8, as a config has to be: rename it, or come by a link of another name")
    arguments = quote_shards(arguments)
    note_typed(arguments)
    return imply(expand_resume(arguments))


@contextmanager
def composed(arguments: list[str], trusted: tuple[str, ...]) -> Iterator[DictConfig]:
    """The config that train.py would get, for the other scripts; inside, `instantiate` makes what is `trusted`."""
    with initialize_config_dir(str(CONF_DIR)):
        cfg = compose("train", imply(quote_shards(arguments)))
    with execution_whitelist(trusted):
        yield cfg


def check(cfg: DictConfig) -> None:
    """Find what can't work before anything is loaded, torch above all, as that takes a second; raises UserError."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError(f"{missing[0]} has no value: add {missing[0]}=... to the command line")
    if cfg.features.cache not in ("auto", True, False):
        raise UserError(f"features.cache={cfg.features.cache}: choose auto, true or false")
    solves = "optimizer" not in cfg.model  # for the head, on all images at once
    if cfg.model.strategy and solves:
        raise UserError("solver=lbfgs solves for a head and trains no backbone: a strategy needs solver=adamw")
    if cfg.features.cache is True and cfg.model.strategy:
        raise UserError(
            "strategy=... trains the backbone, and its features change: features.cache=true is for strategy=frozen"
        )
    if cfg.features.cache is True and any(value for key, value in cfg.augment.items() if not str(key).startswith("_")):
        raise UserError(
            "augment draws new images every epoch, features.cache=true can't: try augment=none features.views=4"
        )
    if solves and OmegaConf.select(cfg, "data.balance") == "sampler":
        raise UserError(
            "data.balance=sampler draws batches, solver=lbfgs takes all images at once: data.balance=weights suits it"
        )
    if solves and (cfg.augment.mixup or cfg.augment.cutmix):
        raise UserError("augment.mixup and augment.cutmix are for gradient descent: add solver=adamw")


def quote_shards(arguments: list[str]) -> list[str]:
    """Put shards that hold braces or bars, `data.train=x-{000..099}.tar`, in quotes, as Hydra wants them."""
    return [SHARDS.sub(lambda match: f"{match[1]}='" + match[2].replace("'", "\\'") + "'", one) for one in arguments]


def imply(arguments: list[str]) -> list[str]:
    """Add `solver=adamw` for whoever names a learning rate, or anything else that only gradient descent has.

    And `strategy=finetune` for whoever leaves some of the backbone unfrozen.
    """
    split = [argument.lstrip("+~").partition("=") for argument in arguments]
    values = {key: value for key, _, value in split}
    said = [key for key, value in values.items() if not (key.startswith("augment.") and value in OFF)]
    means_descent = any(f"{key}.".startswith(f"{name}.") for key in said for name in DESCENT)
    implied = ["solver=adamw"] if means_descent and "solver" not in values else []
    if values.get("backbone.freeze", "all") not in ("all", "null") and "strategy" not in values:
        implied.append("strategy=finetune")
    return [*arguments, *implied]


def expand_resume(arguments: list[str]) -> list[str]:
    """Put the overrides and the folder of what `resume=` names into a command line's arguments.

    Raises UserError when that is no run and no sweep, or one that was stopped before it could write down what it was.
    """
    given = [argument.removeprefix(KEY).strip("'\"") for argument in arguments if argument.startswith(KEY)]
    if not given or given[-1] in ("", "null"):
        return arguments
    is_sweep = any(flag in arguments for flag in MULTIRUN)
    folder = _latest(is_sweep) if given[-1] == "latest" else Path(given[-1])
    typed = [argument for argument in arguments if not argument.startswith(KEY) and argument not in MULTIRUN]
    # Quoted, for Hydra: a folder's name may hold spaces and brackets.
    typed.append(f"{KEY}'{folder}'")
    if is_sweep or (folder / SWEEP).exists():
        return ["-m", *merge_overrides(sweep_overrides(folder), [*typed, f"hydra.sweep.dir='{folder}'"])]
    # Into a folder of its own, so that a kill while it is written doesn't take the first one's with it.
    place = [f"hydra.run.dir='{folder}'", f"hydra.output_subdir=.hydra/{time.strftime('%Y-%m-%d_%H-%M-%S')}"]
    return merge_overrides(run_overrides(folder), [*typed, *place])


def run_overrides(run_dir: Path) -> list[str]:
    """The overrides that a run was started, or last resumed, with; raises UserError like `sweep_overrides`."""
    resumed = sorted(run_dir.glob(f".hydra/*/{OVERRIDES}"), reverse=True)
    for path in (*resumed, run_dir / ".hydra" / OVERRIDES):
        found = read_plainly(path)
        if isinstance(found, list):
            return refuse_strangers_code(found, path)
    raise UserError(
        f"{run_dir} is not the folder of a run, or of one that was stopped before it began: there is no whole "
        f"{run_dir / '.hydra' / OVERRIDES}"
    )


def sweep_overrides(sweep_dir: Path) -> list[str]:
    """The overrides that a sweep was started with; raises UserError for none, and where one could run code."""
    path = sweep_dir / SWEEP
    try:
        return refuse_strangers_code(read_plainly(path)["hydra"]["overrides"]["task"], path)
    except (TypeError, KeyError) as error:
        raise UserError(f"{sweep_dir} is not the folder of a sweep: there is no whole {path}") from error


def merge_overrides(old: list[str], new: list[str]) -> list[str]:
    """`new` wins: over the same key, and `data=folder` over every old `data=` and `data.*=`."""
    keys = {_key(override) for override in new}
    return [override for override in old if not {_key(override), _key(override).split(".")[0]} & keys] + new


def _key(override: str) -> str:
    return override.split("=", maxsplit=1)[0].lstrip("+~")


def _latest(is_sweep: bool) -> Path:
    """The run, or sweep, that began last; raises UserError where there is none."""
    marks = list(SWEEPS_DIR.glob(f"*/{SWEEP}") if is_sweep else RUNS_DIR.glob(f"*/.hydra/{OVERRIDES}"))
    if not marks:
        raise UserError(f"resume=latest: there is nothing in {SWEEPS_DIR if is_sweep else RUNS_DIR} yet")
    newest = max(marks, key=lambda mark: mark.stat().st_mtime_ns)
    return newest.parent if is_sweep else newest.parents[1]
