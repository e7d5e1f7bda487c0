"""W&B without its server: real sockets that refuse, hang, or hang later; the run ends well and can be uploaded."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fake_wandb import FOR_EVER, FakeWandb, running
from runs import ROOT, TINY

from headstart.tracking import loggers

KEY = "0123456789" * 4


@pytest.fixture
def serve() -> Iterator[Callable[[int], FakeWandb]]:
    with ExitStack() as servers:
        yield lambda answers: servers.enter_context(running(answers))


def in_a_process(command: str, workdir: Path, server: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WANDB_MODE": "online", "WANDB_BASE_URL": server, "WANDB_API_KEY": KEY}
    return subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=workdir, env=environment, timeout=FOR_EVER / 2
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "reason"),
    [(0, "the run could not be opened"), (2, "the server stopped answering")],
)
def test_a_server_that_hangs_keeps_no_run_and_loses_no_data(
    answers: int, reason: str, serve: Callable[[int], FakeWandb], workdir: Path, images: Path
) -> None:
    arguments = ["data=folder", f"data.root={images}", *TINY, "logger=wandb"]
    server = serve(answers)
    done = in_a_process(f"{sys.executable} {ROOT}/train.py {' '.join(arguments)}", workdir, server.url)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout.splitlines()[-1]
    assert reason in done.stdout
    assert KEY not in done.stdout + done.stderr
    assert not any("otel" in question for question in server.questions)  # W&B's reports on itself, of 20 s at the end
    (upload,) = re.findall(r"^W&B: .*: wandb (sync .*)$", done.stdout, re.MULTILINE)
    later = serve(1000)
    synced = in_a_process(f"{sys.executable} -m wandb {upload}", workdir, later.url)
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert any("val/accuracy" in question and "score" in question for question in later.questions)


def test_who_is_not_there_takes_no_connection(serve: Callable[[int], FakeWandb]) -> None:
    url = urlsplit(serve(0).url)
    assert loggers._takes_connections(str(url.hostname), int(url.port or 0))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not loggers._takes_connections("127.0.0.1", port)


def test_a_name_server_that_hangs_is_not_waited_for_and_the_jobs_of_a_sweep_ask_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended, asked = threading.Event(), []

    def hang(*address: object) -> None:
        asked.append(address)
        ended.wait(FOR_EVER)
        raise OSError

    monkeypatch.setattr(loggers, "FIRST_ANSWER", 0.1)
    monkeypatch.setattr(socket, "create_connection", hang)
    assert not any(loggers._takes_connections("nowhere", 443) for _ in range(3))
    assert len(asked) == 1
    ended.set()
