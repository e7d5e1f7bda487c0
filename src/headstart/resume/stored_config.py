"""A run's own config, as it lies in its folder: what it goes on with, whatever conf/ says by now."""

import logging
import shlex
import time
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..errors import CONF_DIR, UserError, explain, listed
from ..files import write_atomically
from .trusted import (
    OWN_PLACES,
    REFERENCE,
    is_typed_here,
    leaves,
    read_plainly,
    refuse_strangers_code,
    refuse_strangers_config,
    remember_config,
    remember_overrides,
)

PRIMARY, RESUMED = "train", "_resumed_"  # names of configs: conf/train.yaml, and what a run goes on with
CONFIG, OVERRIDES, HYDRA = "config.yaml", "overrides.yaml", "hydra.yaml"  # what Hydra writes when a run begins
MACHINERY = ("mode", "run", "sweep", "sweeper", "launcher", "output_subdir", "callbacks")  # below hydra
ALONE = "hydra.mode=RUN"  # one run of what would be a sweep
SAME = "resume"  # says nothing about what is trained

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredConfig:
    """What a run was told, with the flags and overrides that it was told so by."""

    values: dict[str, Any]
    overrides: list[str]
    flags: list[str]


def read_stored(run_dir: Path) -> StoredConfig | None:
    """The config that a run was started, or last resumed, with; None where there is no whole one.

    Raises UserError where a stranger could have written what is in it.
    """
    path, stored = _read(run_dir)
    if stored:
        refuse_strangers_code(stored.overrides, path)
        refuse_strangers_config(stored.values, path.with_name(CONFIG))
    return stored


def _read(run_dir: Path) -> tuple[Path, StoredConfig | None]:
    first = run_dir / ".hydra" / OVERRIDES
    for path in (*sorted(run_dir.glob(f".hydra/*/{OVERRIDES}"), reverse=True), first):
        overrides, values = read_plainly(path), read_plainly(path.with_name(CONFIG))
        if isinstance(overrides, list) and isinstance(values, dict):
            return path, StoredConfig(values, overrides, flags_of(read_plainly(first.with_name(HYDRA))))
    return first, None


def keep(cfg: DictConfig, overrides: list[str], run_dir: Path, stored: StoredConfig) -> None:
    """Write a config, and what was typed for it, into its run's folder, unless that is what is `stored` there."""
    values: Any = OmegaConf.to_container(cfg)
    remember_config(values)
    remember_overrides(overrides)  # Hydra writes those of a sweep's jobs in its own way
    folder = run_dir / ".hydra"
    is_there = stored.overrides == overrides and not _differences(stored.values, values)
    if is_there and (folder / OVERRIDES).is_file():
        return
    if stored.overrides != overrides:  # into a folder of its own: a kill leaves the one before
        folder /= time.strftime("%Y-%m-%d_%H-%M-%S")
    write_atomically(folder / CONFIG, OmegaConf.to_yaml(cfg))
    write_atomically(folder / OVERRIDES, OmegaConf.to_yaml(OmegaConf.create(overrides)))


def lay_over(stored: StoredConfig, typed: list[str], implied: Iterable[str] = ()) -> list[str]:
    """Make the config RESUMED of a stored one and the choices that were typed; returns what else was typed.

    A choice changes what it would change today. Raises UserError where it can't be known what that is.
    """
    choices = [override for override in typed if _is_choice(override)]
    values, more = deepcopy(stored.values), [*choices, *implied]
    if more:
        try:
            _move(values, composed_today(stored), composed_today(stored, more))
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"{' '.join(more)} can't be chosen for this run: {explain(error)}") from error
    node = {"defaults": [{"hydra": "default"}, "_self_"], **values, SAME: None}
    ConfigStore.instance().store(RESUMED, OmegaConf.create(node), replace=True)
    return [_tolerant(override) for override in typed if override not in choices and not _is_gone(override, values)]


def composed_today(stored: StoredConfig, more: Iterable[str] = ()) -> dict[str, Any]:
    """What the overrides of a run, and `more`, come to with the conf/ of today; flags count if they were typed here."""
    flags = [flag for flag in stored.flags if is_typed_here(flag)]
    return OmegaConf.to_container(compose_with(flags, merge_overrides(stored.overrides, list(more))))  # pyright: ignore


def compose_with(flags: Iterable[str], overrides: list[str], with_hydra: bool = False) -> DictConfig:
    """The config of a command line with such flags as --config-name=NAME."""
    given = dict(flag.split("=", maxsplit=1) for flag in flags)
    more = [f"hydra.searchpath=['file://{given['--config-dir']}']"] if "--config-dir" in given else []
    outer = GlobalHydra.instance().hydra  # of train.py, in a job
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(given.get("--config-path", str(CONF_DIR)), job_name=PRIMARY):
            return compose(given.get("--config-name", PRIMARY), [*overrides, *more], return_hydra_config=with_hydra)
    finally:
        if outer:
            GlobalHydra.instance().initialize(outer)


def told_now(hydra: Any) -> list[str]:
    """The overrides of this job, as they were typed."""
    return without_resume(OmegaConf.to_container(hydra.overrides.task))  # pyright: ignore


def flags_of(content: Any) -> list[str]:
    """The flags by which the configs were chosen that a `hydra.yaml` tells of."""
    try:
        hydra = content["hydra"]
        name, sources = hydra["job"]["config_name"], hydra["runtime"]["config_sources"]
        paths = {source["provider"]: source["path"] for source in sources}
    except (KeyError, TypeError):
        return []
    flags = {"--config-path": paths.get("main"), "--config-name": name, "--config-dir": paths.get("command-line")}
    usual = (str(CONF_DIR), PRIMARY, RESUMED, None)
    return [f"{flag}={value}" for flag, value in flags.items() if value not in usual]


def means_sweep(hydra: Any) -> bool:
    """Whether the files that were chosen say by themselves that this is a sweep: they name a sweeper, or its space."""
    return hydra.runtime.choices["hydra/sweeper"] != "basic" or bool(hydra.sweeper.get("params"))


def command_of(cfg: DictConfig) -> str:
    """What to type to do a run again: its flags, and all that was typed for it by now."""
    run_dir, hydra, is_resumed = Path(cfg.run_dir), HydraConfig.get(), bool(cfg.resume)
    content: Any = {"hydra": OmegaConf.to_container(hydra)}
    began = (read_plainly(run_dir / ".hydra" / HYDRA) if is_resumed else None) or content
    stored = _read(run_dir)[1] if is_resumed else None  # it takes a while
    first = began["hydra"]["overrides"]["hydra"]
    configs = [one for one in first if f"{key_of(one)}.".replace("/", ".").split(".")[1] not in MACHINERY]
    told = stored.overrides if stored else []
    told = merge_overrides(told, [one for one in told_now(hydra) if one not in told])
    if hydra.mode == RunMode.MULTIRUN and means_sweep(hydra):
        configs.append(ALONE)
    return shlex.join(["python", "train.py", *flags_of(began), *configs, *without_resume(told)])


def say_differences(stored: StoredConfig, cfg: DictConfig) -> None:
    """Say in a line what of a run is other than it was, and in another what conf/ has come to since."""
    if changed := _differences(stored.values, OmegaConf.to_container(cfg)):
        log.info(f"typed now: {listed(changed)}")
    try:
        today = _differences(stored.values, composed_today(stored), known_only=True)
    except (HydraException, OmegaConfBaseException) as error:
        log.info(f"the run goes on with its own config; by now, conf/ has another: {explain(error)}")
    else:
        if today:
            log.info(f"the run goes on with its own config; by now, conf/ has another: {listed(today)}")


def merge_overrides(old: list[str], new: list[str]) -> list[str]:
    """`new` wins: over the same key, and `data=folder` over every old `data=` and `data.*=`."""
    keys = {key_of(override) for override in new}
    return [override for override in old if not {key_of(override), key_of(override).split(".")[0]} & keys] + new


def key_of(override: str) -> str:
    """The key, or group, that an override is for."""
    return override.split("=", maxsplit=1)[0].lstrip("+~")


def without_resume(overrides: Iterable[str]) -> list[str]:
    """What was typed, but for which run to go on with."""
    return [override for override in overrides if key_of(override) != SAME]


def _is_choice(override: str) -> bool:
    key, _, value = override.partition("=")
    group = key.lstrip("+~").partition("@")[0]
    return (CONF_DIR / group).is_dir() and group.split("/")[0] != "hydra" and not value.startswith("{")


def _tolerant(override: str) -> str:
    """`+a.b=1` was maybe typed before: then it is there already."""
    return f"+{override}" if override.startswith("+") and not override.startswith("++") else override


def _is_gone(override: str, values: dict[str, Any]) -> bool:
    """Whether an override deletes what was deleted before."""
    node: Any = values
    for part in key_of(override).split(".") if override.startswith("~") else ():
        if not isinstance(node, dict) or part not in node:
            return True
        node = node[part]
    return False


def _move(values: Any, base: Any, new: Any) -> None:
    """Change `values` as `base` has changed to become `new`."""
    for key in base.keys() - new.keys():
        values.pop(key, None)
    for key, value in new.items():
        if all(isinstance(node.get(key), dict) for node in (values, base, new)):
            _move(values[key], base[key], value)
        elif key not in base or base[key] != value:
            values[key] = value


def _differences(then: Any, now: Any, known_only: bool = False) -> list[str]:
    """`key=value (was value)` for all leaves; with `known_only`, not where only an environment can say what it is."""
    old, new = ({".".join(map(str, key)): value for key, value in leaves(node)} for node in (then, now))
    ignored = {SAME, *OWN_PLACES}
    found = []
    for key in sorted(old.keys() | new.keys()):
        unknown = known_only and "$" in REFERENCE.sub("", str(new.get(key)))
        if old.get(key) != new.get(key) and key not in ignored and not unknown:
            found.append(f"{key}={new.get(key, 'nothing')} (was {old.get(key, 'nothing')})")
    return found
