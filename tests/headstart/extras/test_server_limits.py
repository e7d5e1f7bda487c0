"""What the server of headstart.extras.serving refuses, in a sentence, while it answers the others."""

import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from serving import BOUNDARY, FORM, Colours, ask, form, image, predict, served

from headstart.extras.serving.server.decoding import FORMATS

HEAD = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
JPEG = image("red", "JPEG", side=200)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(Colours(), body_bytes=1_000_000, files=4, refused_seconds=1) as number:
        yield number


def png_header(side: int) -> bytes:
    """A PNG whose header speaks of so many pixels, and that holds none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(header, 13), (b"IDAT", 0)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", length) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk, length in chunks
    )


BROKEN = {
    "a text": (b"hello", 400, "1.jpg is no image in a format that is taken (AVIF, BMP"),
    "nothing": (b"", 400, "1.jpg is empty"),
    "a JPEG cut off": (JPEG[: len(JPEG) // 2], 400, "1.jpg can't be decoded (Image is incomplete or truncated)"),
    "a JPEG's first bytes": (JPEG[:30], 400, "1.jpg "),
    "too many pixels": (png_header(30_000), 413, "1.jpg has 900,000,000 pixels, and 50,000,000 are the most"),
    "a PNG's header": (png_header(8), 400, "1.jpg can't be decoded"),
    "a program": (EPS, 400, f"1.jpg is no image in a format that is taken ({', '.join(FORMATS)})"),
    "HTML": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "1.jpg is no image in a format that is taken"),
}


@pytest.mark.parametrize(("content", "status", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_named(port: int, content: bytes, status: int, sentence: str) -> None:
    for files in ([("1.jpg", content)], [("whole.png", image()), ("1.jpg", content), ("other.png", image())]):
        found, said = predict(port, *files)
        assert found == status
        assert said["error"].startswith(sentence)
        assert "\n" not in said["error"]


BODIES = {
    "no body": (b"", {}, 400, "the request's body is empty"),
    "another type": (JPEG, {"content-type": "image/jpeg"}, 415, "the request isn't understood: send images as"),
    "compressed": (JPEG, {"content-encoding": "gzip"}, 415, "the request isn't understood"),
    "no boundary": (JPEG, {"content-type": "multipart/form-data"}, 400, "the request's content-type names no boundary"),
    "another field": (form([("1.jpg", JPEG)], field="file"), {}, 400, "there is no file in the request: send images"),
    "no form": (JPEG, {}, 400, "the request's body is no multipart/form-data"),
    "cut off": (form([("1.jpg", JPEG)], end=False), {}, 400, "the request's body breaks off"),
    "many files": (form([("1.jpg", JPEG)] * 5), {}, 413, "a request may have 4 files"),
    "too large": (bytes(1_000_001), {}, 413, "a request may have 1 MB: send fewer or smaller images"),
    "far too large": (bytes(100_000_000), {}, 413, "a request may have 1 MB"),
    "chunks": ((bytes(100_000) for _ in range(1000)), {}, 413, "a request may have 1 MB"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "status", "sentence"), BODIES.values(), ids=BODIES)
def test_a_wrong_request_is_told_why(port: int, body: Any, headers: dict[str, str], status: int, sentence: str) -> None:
    found, said, _ = ask(port, body, headers=headers)
    assert found == status
    assert said["error"].startswith(sentence)


def test_what_is_too_large_is_refused_before_it_comes(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(f"{HEAD}Content-Length: 100000000\r\n\r\n".encode())
        assert answer(client)[0] == 413


@pytest.mark.parametrize("path", ["/nowhere", "/predict"])
def test_another_way_is_named(port: int, path: str) -> None:
    status, said, _ = ask(port, path=path, method="GET")
    assert (status, said["error"].endswith("; there are GET / and POST /predict")) == (404 + (path == "/predict"), True)


SLOW = {
    "says nothing": (b"", "the request's header didn't come in 0.3 seconds"),
    "header": (b"POST /predict HT", "the request's header didn't come in 0.3 seconds"),
    "body": (
        f"{HEAD}Content-Length: 1000\r\n\r\n--".encode(),
        "the request's body didn't come to its end in 0.3 seconds",
    ),
    "chunks": (
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n-\r\n".encode(),
        "the request's body didn't come to its end",
    ),
}


@pytest.mark.parametrize(("sent", "sentence"), SLOW.values(), ids=SLOW)
def test_a_slow_client_is_left_and_holds_nobody_up(sent: bytes, sentence: str) -> None:
    with (
        served(Colours(), header_seconds=0.3, body_seconds=0.3, refused_seconds=0.1) as port,
        socket.create_connection(("127.0.0.1", port), 5) as client,
    ):
        client.sendall(sent)
        started = time.monotonic()
        assert predict(port, ("x", image()))[0] == 200
        assert time.monotonic() - started < 0.3
        status, said = answer(client)
        assert (status, said["error"][: len(sentence)]) == (408, sentence)


def test_a_second_header_may_not_dribble_either() -> None:
    with (
        served(Colours(), header_seconds=0.3) as port,
        socket.create_connection(("127.0.0.1", port), 5) as client,
    ):
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in client.recv(10_000)
        client.sendall(b"GET ")
        assert answer(client)[0] == 408


def test_what_is_no_http_is_told_so(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert answer(client)[0] == 400


def test_too_much_at_once_is_to_come_again() -> None:
    model = Colours()
    with served(model, waiting=2) as port, ThreadPoolExecutor() as clients:
        model.gate.clear()
        waits = clients.submit(predict, port, ("x", image()), ("y", image()))
        assert model.begun.wait(5)
        status, said, header = ask(port, form([("z", image())]))
        assert (status, said["error"], header["retry-after"]) == (
            503, "too many images are waiting: try again in a second", "1",
        )  # fmt: skip
        assert ask(port, path="/healthz", method="GET")[0] == 200
        model.gate.set()
        assert waits.result()[0] == 200
        assert predict(port, ("z", image()))[0] == 200


def test_the_memory_for_uploads_is_shared_and_given_back() -> None:
    model, large = Colours(), image(side=400, kind="BMP")
    with served(model, held_bytes=600_000) as port, ThreadPoolExecutor() as clients:
        model.gate.clear()
        waits = clients.submit(predict, port, ("x", large))
        assert model.begun.wait(5)
        assert predict(port, ("y", large))[0] == 503
        assert predict(port, ("y", large))[0] == 503
        model.gate.set()
        assert waits.result()[0] == 200
        for _ in range(3):
            assert predict(port, ("y", large))[0] == 200


def test_more_connections_than_allowed_are_refused() -> None:
    with served(Colours(), connections=2) as port:
        clients = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(3)]
        assert answer(clients[2])[0] == 503
        for client in clients:
            client.close()


def test_a_client_that_leaves_leaves_nothing_behind() -> None:
    with served(Colours(), held_bytes=1000) as port:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n".encode() + bytes(900))
        while ask(port, form([("x", image())]), headers=FORM)[0] != 200:
            time.sleep(0.01)


def answer(client: socket.socket) -> tuple[int, Any]:
    """Status and JSON of what the server says before it ends the connection."""
    said = b""
    while more := client.recv(10_000):
        said += more
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)
