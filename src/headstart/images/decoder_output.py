"""What decoders print: libjpeg and libtiff warn of damage on stderr, where they name no file, and go on."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

STDERR = 2
_lock = Lock()
_users: list["HeldStderr"] = []  # the same one, once for each `with`


class HeldStderr:
    """This process's stderr, kept from the terminal; lines that no decoder explains are printed at the end."""

    def __init__(self) -> None:
        self.file, self.terminal = tempfile.TemporaryFile(buffering=0), os.dup(STDERR)  # noqa: SIM115
        self.explained: set[bytes] = set()
        os.dup2(self.file.fileno(), STDERR)

    def size(self) -> int:
        """How many bytes were printed so far."""
        return os.fstat(self.file.fileno()).st_size

    def watched(self, decode: Callable[[Item], Result], item: Item) -> tuple[Result, bool]:
        """What `decode` returns, and whether something was printed meanwhile, maybe by another thread."""
        before = self.size()
        return decode(item), self.size() > before

    def alone(self, decode: Callable[[Item], Result], item: Item) -> tuple[Result, str]:
        """What `decode` returns, and the first line printed meanwhile; it is explained by that."""
        before = self.size()
        result = decode(item)
        lines = os.pread(self.file.fileno(), self.size() - before, before).splitlines()
        self.explained.update(lines)
        return result, lines[0].decode(errors="replace") if lines else ""

    def let_go(self) -> None:
        """Give the terminal back, and print the rest."""
        os.dup2(self.terminal, STDERR)
        os.close(self.terminal)
        with self.file as file:
            file.seek(0)
            os.write(STDERR, b"".join(line for line in file if line.rstrip(b"\n") not in self.explained))


@contextmanager
def held_stderr() -> Iterator[HeldStderr]:
    """Hold stderr, of which a process has but one: whoever does so at the same time shares it."""
    with _lock:
        held = _users[0] if _users else HeldStderr()
        _users.append(held)
    try:
        yield held
    finally:
        with _lock:
            _users.pop()
            if not _users:
                held.let_go()


def decode_each(
    decode: Callable[[Item], Result], items: Sequence[Item], run: Callable[..., Iterable[tuple[Result, bool]]] = map
) -> list[tuple[Result, str]]:
    """What `decode` returns for each item, and the first line that the decoder prints about it, or "".

    `run` is a `map`, of threads maybe. Those during which something was printed are decoded again, one by one.
    """
    with held_stderr() as held:
        outcomes = list(run(partial(held.watched, decode), items))
        pairs = zip(items, outcomes, strict=True)
        return [held.alone(decode, item) if printed else (result, "") for item, (result, printed) in pairs]
