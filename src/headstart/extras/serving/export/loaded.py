"""An exported file in its own runtime's process, and what that makes of images."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from ....errors import UserError
from . import runtime


class Usage(NamedTuple):
    """How a file is used: lines of Python that load it, and the expression of what it makes of `images`.

    `hidden` are modules that it can do without, and is tried without.
    """

    load: str
    run: str
    hidden: tuple[str, ...] = ()


class Loaded:
    """A process that has loaded the file in a folder as its usage says; a context manager that ends it."""

    def __init__(self, usage: Usage, folder: Path) -> None:
        self.name = usage.run
        self._said = TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-P", runtime.__file__, json.dumps(usage._asdict())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            cwd=folder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind:
            self._process.kill()
        self._process.communicate()
        if not kind and self._process.returncode:
            raise self._failed()
        self._said.close()

    def predict(self, images: NDArray[Any]) -> NDArray[Any]:
        """What the file makes of a batch of images; raises UserError where its process has failed."""
        return self._ask(images)

    def rate(self, images: NDArray[Any], seconds: float) -> float:
        """Images per second, measured for so long."""
        return float(self._ask(images, seconds)[0])

    def _ask(self, images: NDArray[Any], seconds: float = 0) -> NDArray[Any]:
        assert self._process.stdin
        assert self._process.stdout
        try:
            runtime.send(self._process.stdin, images, seconds)
            answer = runtime.receive(self._process.stdout)
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise self._failed()
        return answer[0]

    def _failed(self) -> UserError:
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return UserError(f"its runtime failed: {lines[-1] if lines else f'exit code {self._process.returncode}'}")
