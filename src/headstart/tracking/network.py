"""Whether a server is there at all: asked before anything that would wait for it."""

import time
from functools import lru_cache
from http.client import HTTPException
from ssl import SSLCertVerificationError
from threading import Thread
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen


def answers(url: str, timeout: float) -> bool:
    """Whether `url` gives any answer within `timeout` seconds, be it an error.

    A server is asked once a minute, not by every job of a sweep.
    """
    return _answers_in(int(time.monotonic() // 60), url, timeout)


@lru_cache(maxsize=1)
def _answers_in(minute: int, url: str, timeout: float) -> bool:  # noqa: ARG001 (an answer is kept for this minute)
    heard: list[bool] = []
    # In a thread, as no timeout of a socket holds for the name server, or for an answer that comes byte by byte.
    asking = Thread(target=lambda: heard.append(_ask(url, timeout)), daemon=True)
    asking.start()
    asking.join(timeout)
    return any(heard)


def _ask(url: str, timeout: float) -> bool:
    question = Request(url, b'{"query": "{__typename}"}', {"Content-Type": "application/json"})
    try:
        urlopen(question, timeout=timeout).close()
    except HTTPError as error:
        error.close()
    except URLError as error:  # W&B has settings of its own for certificates
        return isinstance(error.reason, SSLCertVerificationError)
    except (OSError, HTTPException):
        return False
    return True
