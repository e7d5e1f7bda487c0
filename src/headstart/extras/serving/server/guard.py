"""Who may ask, and what a browser may do with the answers."""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCALHOST = "localhost"
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """The app `app`, for this machine alone where it `is_local`, and for no other site's page.

    A page of a stranger may have a name of its own point to this machine (DNS rebinding), and so read what the server
    says: of requests that come by the loopback, the header Host must name it. A form of a stranger's page is refused by
    its Origin. `policy` is the page's Content-Security-Policy.
    """

    def __init__(self, app: ASGIApp, is_local: bool, policy: str) -> None:
        self.app, self.is_local = app, is_local
        self.headers = HEADERS | {"content-security-policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        refused = self._refuses(Headers(scope=scope))
        if refused:
            response = JSONResponse({"error": refused}, 403, {"connection": "close"})
            return await response(scope, receive, guarded)
        return await self.app(scope, receive, guarded)

    def _refuses(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.is_local and not is_loopback(_name(f"//{host}")):
            return "this server is for this machine alone: ask localhost or 127.0.0.1"
        if origin is not None and origin.partition("://")[2] != host:
            return "the pages of other sites can't ask this server"
        return None


def is_loopback(host: str) -> bool:
    """Whether an address, or localhost, is this machine's alone."""
    try:
        return host == LOCALHOST or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name(url: str) -> str:
    """The host in a URL, in lower case; "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
