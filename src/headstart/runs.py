"""Where a trained model lies: in the folder of a run, of a sweep (its best run), or in a checkpoint alone."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UserError

RUNS_DIR, SWEEPS_DIR = Path("logs/runs"), Path("logs/sweeps")
RESULTS, SWEEP, BEST = "results.json", "sweep.json", Path("checkpoints", "best.ckpt")
SWEEP_CONFIG = "multirun.yaml"  # what Hydra writes when a sweep begins
JOB_NOTE = ".hydra/job-*.json"  # in a job's folder: what became of it
OF_A_RUN, OF_A_SWEEP = (RESULTS, ".hydra"), (SWEEP, SWEEP_CONFIG)  # one of them lies in its folder


class Run(NamedTuple):
    """A run's checkpoint, and its folder and `results.json`: None and empty for a checkpoint that lies elsewhere."""

    checkpoint: Path
    folder: Path | None
    results: dict[str, Any]

    @property
    def precision(self) -> str:
        """The precision that it was trained in; "auto" where nothing says so."""
        hardware = self.results.get("hardware")
        return str(hardware.get("precision", "auto")) if isinstance(hardware, dict) else "auto"

    @property
    def is_best(self) -> bool:
        """Whether it is the checkpoint that `results` and the run's predictions are about."""
        return bool(self.folder) and self.checkpoint.absolute() == (self.folder / BEST).absolute()


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
    if not path.is_dir() or not str(place):  # which would be this folder
        raise UserError(
            f"there is no {place or 'run of that name'}: name the folder of a run or a sweep, a checkpoint, or latest"
        )
    return _run(path)


def read_results(run_dir: str | Path) -> dict[str, Any]:
    """What stands in a run's `results.json`; nothing where there is no whole one."""
    try:
        content = json.loads((Path(run_dir) / RESULTS).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def job_number(run_dir: Path) -> int | None:
    """The number of the job of a sweep that a run is; None of a run alone."""
    note = next(run_dir.glob(JOB_NOTE), None)
    return int(note.stem.rpartition("-")[2]) if note else None


def folder_of_job(sweep_dir: Path, job: int) -> Path:
    """The folder of a sweep's job, wherever hydra.sweep.subdir has put it."""
    usual, note = sweep_dir / str(job), JOB_NOTE.replace("*", str(job))
    return usual if (usual / note).exists() else next((one.parents[1] for one in sweep_dir.rglob(note)), usual)


def _run(folder: Path) -> Run:
    if not any((folder / sign).exists() for sign in (BEST, *OF_A_RUN)):
        folder = _best_of(folder)
    if not (folder / BEST).is_file():
        raise UserError(f"{folder} holds no trained model: there is no {BEST} in it")
    return Run(folder / BEST, folder, read_results(folder))


def _best_of(sweep_dir: Path) -> Path:
    """The run of a sweep's jobs that has the best score, the first of equal ones."""
    if not any((sweep_dir / sign).exists() for sign in OF_A_SWEEP) and not any(sweep_dir.glob(f"*/{RESULTS}")):
        raise UserError(f"{sweep_dir} is no folder of a run or a sweep: there is no {RESULTS} and no {SWEEP} in it")
    scored = _scored(sweep_dir)
    if not scored:
        raise UserError(f"none of the runs in {sweep_dir} has ended with a score")
    for key, what in (("monitor", "were scored by different metrics"), ("classes", "know different classes")):
        if len({str(said.get(key)) for said in scored.values()}) > 1:
            raise UserError(f"the runs in {sweep_dir} {what}: name one of them")
    lowest = {said.get("best") for said in scored.values()} == {"min"}
    return (min if lowest else max)(scored, key=lambda folder: scored[folder]["score"])


def _scored(sweep_dir: Path) -> dict[Path, dict[str, Any]]:
    """The `results.json` of the jobs that have ended, by folder; a score that is no number is none."""
    found = {path.parent: read_results(path.parent) for path in sorted(sweep_dir.rglob(RESULTS))}
    return {folder: said for folder, said in found.items() if _has_ended(said)}


def _has_ended(results: dict[str, Any]) -> bool:
    score = results.get("score")
    return results.get("status") == "finished" and isinstance(score, int | float) and not math.isnan(score)


def _latest() -> Path:
    """The folder of the run, or the sweep, that has ended last; those that failed or were stopped are passed over."""
    runs = [path for path in RUNS_DIR.glob(f"*/{RESULTS}") if read_results(path.parent).get("status") == "finished"]
    sweeps = [path for path in SWEEPS_DIR.glob(f"*/{SWEEP}") if _scored(path.parent)]
    if not (ended := [*runs, *sweeps]):
        raise UserError(f"latest: no run has ended in {RUNS_DIR}, and no sweep in {SWEEPS_DIR}")
    return max(ended, key=lambda path: path.stat().st_mtime_ns).parent
