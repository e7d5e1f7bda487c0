"""What was asked and answered, in the text format of Prometheus (version 0.0.4)."""

import time
from collections import Counter, defaultdict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BOUNDS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)  # seconds, as Prometheus' own clients have them
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts requests by path and status, their seconds, and images; `paths` are those that are told apart."""

    def __init__(self, paths: frozenset[str]) -> None:
        self.paths = paths
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.within: Counter[tuple[str, float]] = Counter()
        self.images = 0

    def note(self, path: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        path = path if path in self.paths else "other"
        self.requests[path, status] += 1
        self.seconds[path] += seconds
        for bound in BOUNDS:
            self.within[path, bound] += seconds <= bound

    def text(self) -> str:
        """All of it."""
        lines = ["# TYPE serve_requests_total counter", "# HELP serve_requests_total Requests, by path and status."]
        for (path, status), count in sorted(self.requests.items()):
            lines.append(f'serve_requests_total{{path="{path}",status="{status}"}} {count}')
        errors = sum(count for (_, status), count in self.requests.items() if status >= 400)
        for name, count in (("errors", errors), ("images", self.images)):
            lines += [f"# TYPE serve_{name}_total counter", f"serve_{name}_total {count}"]
        return "\n".join([*lines, *self._histogram(), ""])

    def _histogram(self) -> list[str]:
        name, lines = "serve_request_seconds", ["# TYPE serve_request_seconds histogram"]
        for path in sorted(self.seconds):
            count = sum(number for (of, _), number in self.requests.items() if of == path)
            for bound in BOUNDS:
                lines.append(f'{name}_bucket{{path="{path}",le="{bound:g}"}} {self.within[path, bound]}')
            lines.append(f'{name}_bucket{{path="{path}",le="+Inf"}} {count}')
            lines.append(f'{name}_sum{{path="{path}"}} {self.seconds[path]:.6f}')
            lines.append(f'{name}_count{{path="{path}"}} {count}')
        return lines


class Measured:
    """The app `app`, each of whose answers is counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.metrics.note(scope["path"], status, time.perf_counter() - started)
        return None
