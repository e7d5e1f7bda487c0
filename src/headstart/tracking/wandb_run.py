"""What a W&B run has beside its numbers: what of a metric counts, the code, and the best checkpoint."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import PROJECT_DIR

log = logging.getLogger(__name__)
_gone: set[str] = set()  # runs whose server has stopped answering

CODE = ("train.py", "src/**/*.py", "scripts/*.py", "conf/*.yaml", "conf/*/*.yaml", "pyproject.toml")
LOCAL = "conf/local"  # one's own machine, which git ignores


def describe(run: Any, directions: Mapping[str, str]) -> None:
    """Say which value of each of `directions` (`max` or `min` by metric) W&B's tables show: that of the best epoch."""
    for name, best in directions.items():
        run.define_metric(f"val/{name}", step_metric="trainer/global_step", step_sync=True, summary=best)


def keep_code(run: Any, root: Path = PROJECT_DIR) -> None:
    """Keep the project's own code and config as the artifact `code`: as they are, whatever git has of them.

    W&B makes no new version of what is the same, so that the jobs of a sweep share one.
    """
    from wandb import Artifact

    artifact = Artifact("code", "code")
    for pattern in CODE:
        for path in sorted(root.glob(pattern)):
            if not path.is_relative_to(root / LOCAL):
                artifact.add_file(str(path), str(path.relative_to(root)), policy="immutable")
    _keep(run, artifact, ["latest"])


def keep_model(run: Any, files: Sequence[Path], metadata: Mapping[str, Any]) -> None:
    """Keep the best checkpoint, and what else was made of it, as the artifact `model-<run>`; `best` and `latest`."""
    from wandb import Artifact

    artifact = Artifact(f"model-{run.id}", "model", metadata=dict(metadata))
    for path in files:
        artifact.add_file(str(path), path.name, policy="mutable")  # a copy: the file may be written again
    _keep(run, artifact, ["best", "latest"])


def _keep(run: Any, artifact: Any, aliases: list[str]) -> None:
    ask(run, artifact.name, lambda: run.log_artifact(artifact, aliases=aliases))


def ask(run: Any, name: str, log_it: Callable[[], Any]) -> None:
    """Log an artifact or a table, for which W&B first asks its server, maybe in vain: no run ends or waits for that.

    A server that has not answered once isn't asked again.
    """
    from wandb import Error

    if run.id in _gone:
        return
    try:
        log_it()
    except (Error, OSError) as error:
        _gone.add(run.id)
        log.warning(f"W&B: {name} and later artifacts aren't kept there: {str(error).splitlines()[0]}")
