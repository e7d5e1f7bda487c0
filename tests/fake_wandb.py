"""A W&B server on this machine, which answers for a while."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

FOR_EVER = 900  # seconds; no run may take as long, however busy the machine is


class FakeWandb(ThreadingHTTPServer):
    """Answers as W&B does, `answers` times, and hangs from then on."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answers: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.questions, self.closed = answers, [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = cast(FakeWandb, self.server)
        question = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        server.questions.append(f"{self.path} {question}")
        if len(server.questions) > server.answers:
            server.closed.wait(FOR_EVER)
            return
        project = {"name": "headstart", "entity": {"name": "me"}}
        if "upsertBucket" in question:
            run = {"id": "1", "name": json.loads(question)["variables"]["name"], "displayName": "", "project": project}
            data = {"upsertBucket": {"bucket": run, "inserted": True}}
        else:
            data = {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": []}}
        said = {"errors": [{"message": "no artifacts here"}]} if "rtifact" in question else {"data": data}
        self._say(json.dumps(said).encode() if self.path == "/graphql" else b"{}")

    def _say(self, answer: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on the terminal."""


@contextmanager
def running(answers: int) -> Iterator[FakeWandb]:
    server = FakeWandb(answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.closed.set()
    server.shutdown()
    server.server_close()
