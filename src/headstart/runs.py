"""Where a trained model lies: in the folder of a run, of a sweep (its best run), or in a checkpoint alone."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UserError

RUNS_DIR, SWEEPS_DIR = Path("logs/runs"), Path("logs/sweeps")
RESULTS, SWEEP, BEST = "results.json", "sweep.json", Path("checkpoints", "best.ckpt")


class Run(NamedTuple):
    """A run's checkpoint, and its folder and `results.json`: None and empty for a checkpoint that lies elsewhere."""

    checkpoint: Path
    folder: Path | None
    results: dict[str, Any]


def find_run(place: str | Path) -> Run:
    """The run at `place`: a run's folder, a sweep's (its best run), a checkpoint, or "latest" for the newest in logs/.

    Raises UserError where there is none, or none that has ended.
    """
    if str(place) == "latest" and not Path(place).exists():
        return _run(_latest())
    path = Path(place).expanduser()
    if path.is_file():
        folder = next((above for above in path.absolute().parents if (above / RESULTS).exists()), None)
        return Run(path, folder, read_results(folder) if folder else {})
    if not path.is_dir():
        raise UserError(f"there is no {place}: name the folder of a run or a sweep, a checkpoint, or latest")
    return _run(path)


def read_results(run_dir: str | Path) -> dict[str, Any]:
    """What stands in a run's `results.json`; nothing where there is no whole one."""
    try:
        return json.loads((Path(run_dir) / RESULTS).read_text())
    except (OSError, ValueError):
        return {}


def _run(folder: Path) -> Run:
    if not (folder / BEST).is_file() and not (folder / RESULTS).exists():
        folder = _best_of(folder)
    if not (folder / BEST).is_file():
        raise UserError(f"{folder} holds no trained model: there is no {BEST} in it")
    return Run(folder / BEST, folder, read_results(folder))


def _best_of(sweep_dir: Path) -> Path:
    """The run of a sweep's jobs that has the best score, the first of equal ones."""
    found = {path.parent: read_results(path.parent) for path in sorted(sweep_dir.rglob(RESULTS))}
    ended = {folder: said for folder, said in found.items() if said.get("status") == "finished"}
    if not ended:
        raise UserError(f"{sweep_dir} is no folder of a run or a sweep that has ended: there is no {RESULTS} in it")
    if len({said["monitor"] for said in ended.values()}) > 1:
        raise UserError(f"the runs in {sweep_dir} were scored by different metrics: name one of them")
    lowest = {said.get("best", "max") for said in ended.values()} == {"min"}
    return (min if lowest else max)(ended, key=lambda folder: ended[folder]["score"])


def _latest() -> Path:
    ended = [*RUNS_DIR.glob(f"*/{RESULTS}"), *SWEEPS_DIR.glob(f"*/{SWEEP}")]
    if not ended:
        raise UserError(f"latest: no run has ended in {RUNS_DIR}, and no sweep in {SWEEPS_DIR}")
    return max(ended, key=lambda path: path.stat().st_mtime_ns).parent
