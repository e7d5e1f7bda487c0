"""Files: short paths for people, what is written atomically, and a fingerprint of many files."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from .errors import UserError
from .machine import usable_cores

VERIFY = ("stat", "content")
PART = ".part"
# For the annotation of a parameter: what a config gives it is looked for before anything is loaded.
ClassFolders = str | Path  # a folder with folders in it
TableFile = str | Path
WeightsFile = str  # the path of one, if it looks like that
WEIGHTS_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".tar", ".th", ".pkl")


def short(path: str | Path) -> Path:
    """Relative to where the user is, when it lies below."""
    path, cwd = Path(path), Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path


def numbered(path: Path) -> Iterator[Path]:
    """`path`, and then, for whoever finds it taken, the same with `_2`, `_3` and so on behind its stem."""
    yield path
    yield from (path.with_name(f"{path.stem}_{number}{path.suffix}") for number in count(2))


def write_atomically(path: Path, content: bytes | memoryview | str) -> None:
    """Write a file so that it appears as a whole or not at all, whoever kills this process or writes it, too.

    Raises OSError (a full disk); the file that was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk, too; Windows has no such thing."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `final` once it is filled.

    An error leaves nothing behind, and a killed process a hidden scratch folder. Where `final` is there by then, as
    another process was first, that one stays, and ours goes.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{final.name}-", dir=final.parent) as scratch:
        part = Path(scratch) / final.name
        part.mkdir()
        yield part
        try:
            part.rename(final)
        except OSError:
            if not final.is_dir():
                raise


def common_folder(files: Sequence[str]) -> str:
    """The innermost folder that all files lie in; empty where that is the root, or they have none in common."""
    first, last = min(files), max(files)  # what these have in common, all between them have, too
    return os.path.commonprefix((first, last)).rpartition(os.sep)[0]  # noqa: RUF071 (and then goes up to a folder)


def manifest(paths: Iterable[str], verify: str = "stat") -> str:
    """sha256 over every file's path, size and time of change, in the order given; `content` takes its bytes instead.

    Raises UserError for a `verify` that isn't known, and for a file whose content can't be read.
    """
    if verify not in VERIFY:
        raise UserError(f"features.verify={verify}: choose {' or '.join(VERIFY)}")
    from concurrent.futures import ThreadPoolExecutor  # here, as every start would wait for it

    with ThreadPoolExecutor(usable_cores()) as pool:
        lines = pool.map(_by_content, paths) if verify == "content" else map(_by_stat, paths)
        return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()  # a name need not be UTF-8


def _by_stat(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 (pathlib takes five times as long, for every image of every job)
    except OSError:
        return f"{path} can't be read\n"
    return f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}\n"  # noqa: PTH100


def _by_content(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return f"{Path(path).absolute()} {hashlib.file_digest(file, 'sha256').hexdigest()}\n"
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror})") from error
