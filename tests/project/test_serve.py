"""scripts/serve.py, of headstart.extras.serving, on a run of seconds, in a process of its own."""

import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from processes import Script
from runs import Train
from serving import BOUNDARY, ask, form

import headstart

HEAD = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"


class Exploit:
    """A pickle that makes a file as it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


@pytest.fixture
def start(workdir: Path) -> Iterator[Callable[[str], tuple[Script, int]]]:
    """The process that serves a run, and its port once it answers."""
    begun: list[Script] = []

    def run(place: str) -> tuple[Script, int]:
        server = Script("scripts/serve.py", place, "--port", "0", cwd=workdir)
        begun.append(server)
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", server.stdout)):
            assert server.process.is_alive(), server.stderr
            time.sleep(0.02)
        return server, int(found[1])

    yield run
    for server in begun:
        if server.process.is_alive():
            server.kill()


@pytest.mark.slow
def test_a_run_is_served_until_a_signal_and_then_until_its_requests_end(
    train: Train, start: Callable[[str], tuple[Script, int]], images: Path, workdir: Path
) -> None:
    (run_dir,) = train()
    paths = sorted(images.glob("test/*/*.jpg"))[:6]
    wanted = headstart.load(run_dir).predict([str(path) for path in paths])
    files = [(path.name, path.read_bytes()) for path in paths]

    server, port = start(str(run_dir))
    assert f"{run_dir.name} at http://127.0.0.1:{port} (10 classes, " in server.stdout
    status, found, _ = ask(port, form(files))
    assert status == 200
    assert [one["class"] for one in found] == [name for name, _ in wanted]
    assert [one["probability"] for one in found] == pytest.approx([value for _, value in wanted], abs=2e-3)
    assert len(found[0]["top"]) == 5
    status, picture, _ = ask(port, form(files[:1]), "/saliency")
    assert (status, picture[:4]) == (200, b"\x89PNG")
    page = ask(port, path="/", method="GET")[1].decode()
    assert f"<h1>{run_dir.name}</h1>" in page
    assert "10 classes, test accuracy " in page

    other = Script("scripts/serve.py", str(run_dir), "--port", str(port), cwd=workdir)
    assert other.end() == 1
    assert re.fullmatch(
        rf"error: 127\.0\.0\.1:{port} can't be served at \(Address already in use\): .*\n", other.stderr
    )

    body = form(files[:1])
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body[:100])
        time.sleep(0.1)
        server.send(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            ask(port, path="/healthz", method="GET")
        client.sendall(body[100:])
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert server.end(10) == -signal.SIGTERM
    assert server.stderr == ""

    server, port = start("latest")
    server.send(signal.SIGINT)
    assert server.end(10) == 130
    assert server.stderr == ""

    copy = workdir / "strange"
    shutil.copytree(run_dir, copy)
    torch.save({"hyper_parameters": Exploit(workdir / "owned")}, copy / "checkpoints/best.ckpt")
    for place in (copy, copy / "checkpoints/best.ckpt"):
        strange = Script("scripts/serve.py", str(place), "--port", "0", cwd=workdir)
        assert strange.end() == 1
        assert re.fullmatch(r"error: the checkpoint .*best\.ckpt can't be read.*\n", strange.stderr)
        assert not (workdir / "owned").exists()
