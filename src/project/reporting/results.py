"""`results.json`: what a run came to and how it came to be, for people and for scripts."""

import json
import platform
import signal
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headstart.errors import UserError
from headstart.fit import Result

PACKAGES = ("headstart", "torch", "torchvision", "lightning", "timm", "torchmetrics", "hydra-core")


def write_results(
    run_dir: str | Path, result: Result, classes: tuple[str, ...], command: str, found: dict[str, float]
) -> Path:
    """Write `result`, the class names, versions, git commit, command, and what was `found` for `auto`."""
    path = Path(run_dir) / "results.json"
    content = {
        "status": "finished",
        **asdict(result),
        "best_checkpoint": _within(Path(run_dir), result.best_checkpoint),
        "classes": list(classes),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "git_commit": git_commit(),
        "command": command,
        "found": found,
    }
    _write(path, content)
    return path


def write_interrupted(run_dir: str | Path, signum: int, epoch: int, step: int, command: str) -> None:
    """Write to `run_dir/results.json` which signal ended the run, and after how many whole epochs and steps."""
    content = {
        "status": "interrupted",
        "signal": signal.Signals(signum).name,
        "epoch": epoch,
        "step": step,
        "command": command,
    }
    _write(Path(run_dir) / "results.json", content)


def finished_score(run_dir: str | Path, command: str) -> float | None:
    """The score of a run that has ended; None for any other. Raises UserError when it was another command's."""
    path = Path(run_dir) / "results.json"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if content.get("status") != "finished":
        return None
    if content["command"] != command:
        raise UserError(f"{path} is of another job ({content['command']}): resume a sweep with the overrides it had")
    return content["score"]


def _write(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all: scripts look at it while runs are killed."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=2) + "\n")
    part.replace(path)


def git_commit() -> str | None:
    """The commit that is checked out here, with `-dirty` after it when files differ; None outside of git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def _within(run_dir: Path, checkpoint: str | None) -> str | None:
    """Relative to the run's folder, which may be moved or copied."""
    if checkpoint and Path(checkpoint).is_relative_to(run_dir):
        return str(Path(checkpoint).relative_to(run_dir))
    return checkpoint
