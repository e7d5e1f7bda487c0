"""Find the pictures that can't be decoded before a training is started, and only once for the same files."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from headstart.data.decode import read_picture

MAX_NAMED = 10


def check_pictures(paths: Iterable[str], passed_dir: str | Path) -> None:
    """Decode every picture once; `passed_dir` remembers sets of files that passed, by name, size and time.

    Raises:
        ValueError: some can't be decoded; the message names up to ten of them.
    """
    paths = sorted(paths)
    passed = Path(passed_dir) / _manifest(paths)
    if passed.exists():
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding releases the GIL
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


def _manifest(paths: list[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = Path(path).stat()
            digest.update(f"{Path(path).absolute()} {status.st_size} {status.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(f"{path} can't be read\n".encode())
    return digest.hexdigest()


def _problem(path: str) -> str | None:
    try:
        read_picture(path)
    except ValueError as error:
        return str(error)
    return None
