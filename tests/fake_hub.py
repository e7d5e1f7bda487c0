"""As much of Hugging Face's Hub as an upload needs: a server on this machine that keeps what was sent to it."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class FakeHub:
    """What was sent: the repositories that were made, files by their path in the last commit, and tokens."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.made: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.address = ""

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """The status and the answer to a request."""
        if self.refuses:
            return 403, {"error": "you may not"}
        if path == "/api/repos/create":
            self.made.append(json.loads(body))
            name = f"{self.made[-1]['organization']}/{self.made[-1]['name']}"
            return 200, {"url": f"{self.address}/{name}", "name": name}
        if "/preupload/" in path:
            files = json.loads(body)["files"]
            return 200, {"files": [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in files]}
        if "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return 200, {"commitUrl": f"{self.address}/user/name/commit/0", "commitOid": "0", "success": True}
        return 200, {}


@contextmanager
def fake_hub(refuses: bool = False) -> Iterator[FakeHub]:
    """A hub at its `address`, for as long as the block lasts."""
    hub = FakeHub(refuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            hub.tokens.add(self.headers.get("authorization"))
            status, said = hub.answer(self.path, _body(self))
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    parts: list[bytes] = []
    while size := int(request.rfile.readline(), 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    return b"".join(parts)
