"""Sweepers and launchers of one's own, and what to install for those of others."""

import inspect
import re
import sys
import tomllib
import traceback
from typing import Any

from hydra.core.plugins import Plugins
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.plugins.plugin import Plugin
from hydra.plugins.sweeper import Sweeper
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from .errors import PROJECT_DIR, UserError, explain

KINDS: dict[str, type[Plugin]] = {"sweeper": Sweeper, "launcher": Launcher}  # below hydra
OTHERS = "hydra_plugins"  # the package in which Hydra looks for plugins by itself


class OwnPlugins(Callback):
    """Makes the sweeper and the launcher known to Hydra that a config names, wherever their class is.

    Hydra by itself knows those below `hydra_plugins`, which have to be installed. Any other class has to be trusted,
    as every `_target_` has.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Before Hydra makes either of them; ends the process with a line where it couldn't."""
        for kind in KINDS:
            target = OmegaConf.select(config, f"hydra.{kind}._target_")
            try:
                if target and target not in known(kind):
                    Plugins.instance().register(plugin_class(kind, target))
            except Exception as error:  # which Hydra would make a warning of
                message = explain(error)
                sys.exit(f"error: {message}" if message else traceback.format_exc())


def known(kind: str) -> set[str]:
    """The names of the classes of a kind that Hydra knows."""
    return {f"{plugin.__module__}.{plugin.__name__}" for plugin in Plugins.instance().discover(KINDS[kind])}


def plugin_class(kind: str, target: str) -> type[Plugin]:
    """The class that a config names as Hydra's `kind`; raises UserError for none, and for a package that is missing."""
    key = f"hydra.{kind}._target_={target}"
    if target.startswith(f"{OTHERS}."):
        missing = target.split(".")[1].replace("_", "-")  # the names of plugins' packages are made so
        raise UserError(f"{key}: Hydra has no such plugin; pip install {extra_with(missing)}")
    try:
        found = instantiate({"hydra": {kind: {"_target_": target, "_partial_": True}}})["hydra"][kind].func
    except InstantiationException as error:
        if package := missing_plugin(error):
            raise UserError(f"{key} needs {package}: pip install {extra_with(package)}") from error
        raise
    if not isinstance(found, type) or not issubclass(found, KINDS[kind]) or inspect.isabstract(found):
        wanted = f"{KINDS[kind].__module__}.{KINDS[kind].__name__}"
        raise UserError(f"{key} is no subclass of {wanted} with all that it takes: name another")
    return found


def missing_plugin(error: BaseException) -> str | None:
    """The package whose module below `hydra_plugins` could not be imported; None for another error."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__
    if cause is None or not (cause.name or "").startswith(OTHERS):
        return None
    return next(iter(re.findall(rf"{OTHERS}\.(\w+)", f"{cause.name} {error}")), OTHERS).replace("_", "-")


def extra_with(package: str) -> str:
    """What to tell pip to install for a package: the extra of pyproject.toml that has it, or the package itself."""
    extras = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["project"].get("optional-dependencies", {})
    return next((f"-e .[{name}]" for name, packages in extras.items() if package in " ".join(packages)), package)
