"""W&B without its server: real sockets that refuse, hang, or hang later; the run ends well and can be uploaded."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from ssl import SSLCertVerificationError
from urllib.error import URLError

import pytest
from fake_wandb import FOR_EVER, FakeWandb, Handler, running
from runs import ROOT, TINY

from headstart.tracking import network

KEY = "0123456789" * 4


@pytest.fixture
def serve() -> Iterator[Callable[[int], FakeWandb]]:
    with ExitStack() as servers:
        yield lambda answers: servers.enter_context(running(answers))


def in_a_process(command: str, workdir: Path, server: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WANDB_MODE": "online", "WANDB_BASE_URL": server, "WANDB_API_KEY": KEY}
    return subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=workdir, env=environment, timeout=FOR_EVER
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "reason"),
    [(0, "no answer from 127.0.0.1"), (1, "the run could not be opened"), (2, "the server stopped answering")],
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


def test_who_refuses_hangs_or_drips_gives_no_answer(serve: Callable[[int], FakeWandb]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert not network.answers(url, timeout=0.2)  # connected, and never accepted
    assert not network.answers(url, timeout=0.3)
    assert not network.answers(serve(0).url, timeout=0.2)


def test_any_answer_is_one(serve: Callable[[int], FakeWandb], monkeypatch: pytest.MonkeyPatch) -> None:
    assert network.answers(serve(1).url, timeout=10)
    monkeypatch.delattr(Handler, "do_POST")  # 501 Unsupported method
    assert network.answers(serve(1).url, timeout=10)


def test_a_certificate_that_only_wandb_trusts_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def distrust(*_: object, **__: object) -> None:
        raise URLError(SSLCertVerificationError("self-signed"))

    monkeypatch.setattr(network, "urlopen", distrust)
    assert network.answers("https://on-premises", timeout=10)


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def hang(*_: object, **__: object) -> None:
        ended.wait(FOR_EVER)
        raise TimeoutError

    monkeypatch.setattr(network, "urlopen", hang)
    started = time.monotonic()
    assert not network.answers("https://nowhere", timeout=0.2)
    assert time.monotonic() - started < FOR_EVER / 2
    ended.set()


def test_the_jobs_of_a_sweep_ask_once(serve: Callable[[int], FakeWandb]) -> None:
    server = serve(10)
    assert all(network._answers_in(1, server.url, 10) for _ in range(3))
    assert len(server.questions) == 1
    assert network._answers_in(2, server.url, 10)
    assert len(server.questions) == 2
