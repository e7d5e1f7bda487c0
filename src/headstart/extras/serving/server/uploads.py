"""From a request to its files, in memory alone: nothing of it, and no name in it, touches the disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from ....errors import printable
from ....images.loading import threads
from .limits import MEGABYTE, Limits, RefusedError, overloaded

FIELD = b"files"
WANTED = "send images as multipart/form-data, each in a field named files"
LONGEST_NAME = 200  # characters of a file's name that are said again


class Upload(NamedTuple):
    """A file's name, as the client says it, and its content."""

    name: str
    content: bytes


class Uploads:
    """Reads the files of requests, within `limits`; `held` are the bytes of all bodies that are being worked on."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.held = limits, 0

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[list[Upload]]:
        """The files of a request, held until the block ends; raises RefusedError."""
        boundary = self._check_header(request)
        body = bytearray()
        try:
            await self._read(request, body)
            work = partial(_files, body, boundary, self.limits.files)  # in a thread, as a client may make it long
            yield await asyncio.get_running_loop().run_in_executor(threads(), work)
        finally:
            self.held -= len(body)

    def _check_header(self, request: Request) -> bytes:
        """The boundary between the parts of the body."""
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.body_bytes:
            raise self._too_large()
        if length == "0" and "transfer-encoding" not in request.headers:
            raise RefusedError(400, f"the request's body is empty: {WANTED}")
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or "content-encoding" in request.headers:
            raise RefusedError(415, f"the request isn't understood: {WANTED}", unread=True)
        if not options.get(b"boundary"):
            raise RefusedError(400, "the request's content-type names no boundary between its parts", unread=True)
        return options[b"boundary"]

    async def _read(self, request: Request, body: bytearray) -> None:
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                async for chunk in request.stream():
                    self.held += len(chunk)
                    body += chunk
                    if len(body) > self.limits.body_bytes:
                        raise self._too_large()
                    if self.held > self.limits.held_bytes:
                        raise overloaded(unread=True)
        except TimeoutError:
            seconds = f"{self.limits.body_seconds:g} seconds"
            raise RefusedError(408, f"the request's body didn't come to its end in {seconds}", unread=True) from None
        except ClientDisconnect:
            raise RefusedError(400, "the client left before the request's end") from None

    def _too_large(self) -> RefusedError:
        most = f"{self.limits.body_bytes / MEGABYTE:g} MB"
        return RefusedError(413, f"a request may have {most}: send fewer or smaller images", unread=True)


def _files(body: bytearray, boundary: bytes, most: int) -> list[Upload]:
    """The parts named files of a body of the type multipart/form-data; raises RefusedError."""
    found: list[Upload] = []
    parts = 0
    ended: list[bool] = []

    def on_part(part: File | Field) -> None:
        nonlocal parts
        parts += 1
        if parts > most:
            raise RefusedError(413, f"a request may have {most} files: send the others in another one")
        if part.field_name == FIELD:
            content = part.file_object.getvalue() if isinstance(part, File) else part.value  # pyright: ignore[reportAttributeAccessIssue] (a BytesIO)
            name = (part.file_name if isinstance(part, File) else None) or f"image {len(found) + 1}".encode()
            found.append(Upload(_said(name), content or b""))

    config = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}  # never on disk
    parser = FormParser("multipart/form-data", on_part, on_part, lambda: ended.append(True), boundary, config=config)
    try:
        parser.write(bytes(body))
        parser.finalize()
    except FormParserError as error:
        raise RefusedError(400, f"the request's body is no multipart/form-data ({error})") from error
    if not ended:
        raise RefusedError(400, "the request's body breaks off: its last boundary is missing")
    if not found:
        raise RefusedError(400, f"there is no file in the request: {WANTED}")
    return found


def _said(name: bytes) -> str:
    """A file's name in one line, and not too long a one."""
    return printable(" ".join(name.decode(errors="replace").split()))[:LONGEST_NAME]
