"""What a request may cost, and how one that costs more, or is wrong, is refused."""

from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Bytes of a request's body and of all bodies held at once, files of a request, pixels of an image, images waiting.

    Seconds that a client may take for a request's header, for its body, and, once it is refused, to stop sending.
    """

    body_bytes: int = 20 * MEGABYTE
    held_bytes: int = 256 * MEGABYTE
    files: int = 64
    pixels: int = 50_000_000
    waiting: int = 256
    header_seconds: float = 10
    body_seconds: float = 30
    refused_seconds: float = 10
    connections: int = 500


class RefusedError(Exception):
    """A request that gets a 4xx or 503, and a sentence; `unread`: its body wasn't read to the end."""

    def __init__(self, status: int, sentence: str, unread: bool = False) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.unread = status, sentence, unread


def overloaded(unread: bool = False) -> RefusedError:
    """What is said while there is more to do than the queue holds."""
    return RefusedError(503, "too many images are waiting: try again in a second", unread)
