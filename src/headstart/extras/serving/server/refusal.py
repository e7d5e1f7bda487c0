"""The answers to requests that get none: a status and a sentence, in JSON."""

import asyncio
from contextlib import suppress
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from .limits import Limits, RefusedError


def handlers(limits: Limits) -> Any:
    """What Starlette calls for an error, by its class."""

    async def refused(_: Request, error: RefusedError) -> Response:
        content, headers = {"error": error.sentence}, {"retry-after": "1"} if error.status == 503 else {}
        if error.unread:
            return Refusal(content, error.status, headers, limits.refused_seconds)
        return JSONResponse(content, error.status, headers)

    return {RefusedError: refused, HTTPException: _not_here, Exception: _bug}


class Refusal(JSONResponse):
    """An answer to a request whose body isn't read: what still comes of it is thrown away for some seconds.

    A client that is sending would otherwise see its connection broken, and not the answer.
    """

    def __init__(self, content: Any, status: int, headers: dict[str, str], seconds: float) -> None:
        super().__init__(content, status, {**headers, "connection": "close"})
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at once, and end when the client does."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _not_here(request: Request, error: HTTPException) -> Response:
    sentence = f"{request.method} {request.url.path}: {error.detail.lower()}; there are GET / and POST /predict"
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def _bug(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "the server has made a mistake, and says more where it was started"}, 500)
