"""A small server in a thread, and requests by hand, for the tests of headstart.extras.serving."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from headstart.extras.serving.server.app import make_app
from headstart.extras.serving.server.limits import Limits
from headstart.extras.serving.server.process import listen, server_of

Files = Sequence[tuple[str, bytes]]
BOUNDARY = "part"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


class Colours:
    """A model that says which of three colours an image has; `gate` holds its computing back."""

    classes = ("red", "<b>green</b>", "blue")
    shortest = 16

    def __init__(self) -> None:
        self.gate, self.begun = threading.Event(), threading.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.error: Exception | None = None

    def read(self, image: Tensor) -> Tensor:
        return image.float().mean(dim=(1, 2), keepdim=True).to(torch.uint8)

    def probabilities(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        self.begun.set()
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return (images.flatten(1).float() / 20).softmax(dim=1)


@contextmanager
def served(model: Any, **limits: Any) -> Iterator[int]:
    """The port at which a model is served, until the block ends."""
    listener, started, limit = listen("127.0.0.1", 0), threading.Event(), Limits(**limits)
    app = make_app(model, "a <run>", "3 classes", lambda _, label: Image.new("RGB", (8, 8), label), limit)
    server = server_of(app, started.set, limit)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert started.wait(10)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def image(colour: str = "red", kind: str = "PNG", side: int = 8) -> bytes:
    file = BytesIO()
    Image.new("RGB", (side, side), colour).save(file, kind)
    return file.getvalue()


def form(files: Files, field: str = "files", end: bool = True) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="%s"\r\n\r\n'
    parts = [(head % name).encode() + content + b"\r\n" for name, content in files]
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def ask(
    port: int, body: Any = b"", path: str = "/predict", method: str = "POST", headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    """Status, content (of JSON, the values) and header of the answer to a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, FORM | (headers or {}))
        answer = connection.getresponse()
        said, header = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()
    return answer.status, json.loads(said) if header.get("content-type") == "application/json" else said, header


def predict(port: int, *files: tuple[str, bytes]) -> tuple[int, Any]:
    """Status and values that come of files."""
    return ask(port, form(files))[:2]
