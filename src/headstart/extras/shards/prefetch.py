"""Decoding a few batches in advance, while a device computes."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

BATCHES = 2  # batches

T = TypeVar("T")


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """The same items, a few of which another thread fetches in advance."""
    with ThreadPoolExecutor(1) as pool:
        iterator = iter(items)
        coming = deque(pool.submit(next, iterator, None) for _ in range(BATCHES))
        while (item := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, iterator, None))
            yield item
