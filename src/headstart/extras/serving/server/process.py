"""The process: a socket, HTTP for clients of any speed, and an end that lets running requests end first."""

import asyncio
import json
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from ....errors import UserError
from .limits import Limits


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address, where clients wait until they are answered; raises UserError where it can't be had."""
    try:
        if not 0 <= port < 65536:  # the system would take its last 16 bits
            raise OverflowError("a port is a number from 0 to 65535")
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family)
        # asyncio sets it on sockets that know their protocol alone, which these don't: 40 ms an answer on loopback.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError, UnicodeError) as error:
        said = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        reason = said.partition(" (while")[0]  # Python says the address once more
        raise UserError(f"{host}:{port} can't be served at ({reason}): choose others by --host and --port") from None


def url_of(listener: socket.socket) -> str:
    """Where a browser finds what is served at a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Starlette, listener: socket.socket, on_start: Callable[[], None], limits: Limits | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C, and then until running requests are answered; a second Ctrl-C ends at once.

    It ends as by the signal itself, as uvicorn does: by SIGTERM (a shell's 143), or a KeyboardInterrupt.
    """
    server_of(app, on_start, limits).run([listener])


def server_of(app: Starlette, on_start: Callable[[], None], limits: Limits | None = None) -> uvicorn.Server:
    """Uvicorn's server for an application; `on_start` is called once requests are taken."""
    limits = limits or Limits()

    class PatientProtocol(Protocol):
        own_limits = limits

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_start()

    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,  # its own would close whatever file this process logs to
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(limits.body_seconds),
        timeout_graceful_shutdown=int(limits.body_seconds + limits.refused_seconds) + 1,
    )
    return Server(config)


class Protocol(H11Protocol):
    """HTTP/1.1 as uvicorn has it, which waits for ever for a request's header; this one waits some seconds."""

    own_limits = Limits()
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Begin to wait for a header, unless there are too many who do."""
        super().connection_made(transport)
        if len(self.connections) > self.own_limits.connections:
            self._refuse(503, "too many connections are open: try again in a second", "retry-after: 1\r\n")
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait from a header's first byte to its last."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._stop_waiting()
        self._refuse(400, "this is no request of HTTP/1.1, or one whose header is too long")

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.own_limits.header_seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self._refuse(408, f"the request's header didn't come in {self.own_limits.header_seconds:g} seconds")

    def _refuse(self, status: int, sentence: str, header: str = "") -> None:
        if self.transport.is_closing():
            return
        body: Any = json.dumps({"error": sentence}).encode()
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n{header}"
        self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()
