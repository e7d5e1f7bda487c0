"""`results.json`: what a run came to and how it came to be, for people and for scripts."""

import json
import platform
import signal
import subprocess
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headstart.errors import UserError
from headstart.files import write_atomically
from headstart.fit import Fitted

from ..model.classifier import Classifier

PACKAGES = ("headstart", "torch", "torchvision", "lightning", "timm", "torchmetrics", "hydra-core")


def write_results(
    run_dir: Path, score: float, fitted: Fitted, model: Classifier, confusion_matrix: list[list[int]], command: str
) -> None:
    """Write `results.json`; the confusion matrix counts test images, [true class][predicted class]."""
    best = Path(fitted.best_checkpoint) if fitted.best_checkpoint else None
    if best and best.is_relative_to(run_dir):
        best = best.relative_to(run_dir)  # the folder may be moved or copied
    content = {
        "status": "finished",
        "score": score,
        "monitor": model.monitor,
        **asdict(fitted),
        "best_checkpoint": str(best) if best else None,
        "confusion_matrix": confusion_matrix,
        "classes": list(model.classes),
        "versions": versions(),
        "git_commit": git_commit(),
        "command": command,
    }
    _write(run_dir, content)


@cache
def versions() -> dict[str, str]:
    """Those of Python and of the packages that decide what comes out."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def write_interrupted(run_dir: str | Path, signum: int, epoch: int, step: int, command: str) -> None:
    """Write which signal ended the run, and after how many whole epochs and steps."""
    name = signal.Signals(signum).name
    content = {"status": "interrupted", "signal": name, "epoch": epoch, "step": step, "command": command}
    _write(Path(run_dir), content)


def read_results(run_dir: str | Path) -> dict[str, Any]:
    """What stands in a run's `results.json`; nothing where there is no whole one."""
    try:
        return json.loads((Path(run_dir) / "results.json").read_text())
    except (OSError, ValueError):
        return {}


def finished_score(run_dir: str | Path, command: str) -> float | None:
    """The score of a run that has ended; None for any other. Raises UserError when it was another command's."""
    content = read_results(run_dir)
    if content.get("status") != "finished":
        return None
    if content["command"] != command:
        raise UserError(f"{run_dir} is of another job ({content['command']}): resume a sweep with the overrides it had")
    return content["score"]


def _write(run_dir: Path, content: dict[str, Any]) -> None:
    write_atomically(run_dir / "results.json", json.dumps(content, indent=2) + "\n")


@cache  # the jobs of a sweep run the same code
def git_commit() -> str | None:
    """The commit that is checked out here, with `-dirty` after it when files differ; None outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
