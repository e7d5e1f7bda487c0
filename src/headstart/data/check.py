"""Find the pictures that can't be decoded before a training is started, and only once for the same files."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from headstart.data.cores import usable_cores
from headstart.data.decode import read_picture
from headstart.data.manifest import manifest

MAX_NAMED = 10


def check_pictures(paths: Iterable[str], passed_dir: str | Path) -> None:
    """Decode every picture once; `passed_dir` remembers sets of files that passed, by name, size and time.

    Raises:
        ValueError: some can't be decoded; the message names up to ten of them.
    """
    paths = sorted(paths)
    passed = Path(passed_dir) / manifest(paths)
    if passed.exists():
        return
    with ThreadPoolExecutor(usable_cores()) as pool:  # decoding releases the GIL
        outcomes = pool.map(_problem, paths)
        problems = [
            problem
            for problem in track(outcomes, "Checking pictures", total=len(paths), disable=not Console().is_terminal)
            if problem is not None
        ]
    if problems:
        more = f" and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        raise ValueError("; ".join(problems[:MAX_NAMED]) + more + ": replace or remove what is broken")
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.touch()


def _problem(path: str) -> str | None:
    try:
        read_picture(path)
    except ValueError as error:
        return str(error)
    return None
