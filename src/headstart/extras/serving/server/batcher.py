"""Images of many requests in one batch, computed by one thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from .limits import overloaded

Result = TypeVar("Result")
PATIENCE = 0.02  # seconds that a batch waits for images that are being decoded


@cache
def computing() -> ThreadPoolExecutor:
    """The thread in which a model is loaded and computes: no other should ever compute in this process.

    OpenMP keeps a team of threads for each thread that has. With more of them than cores, they sleep between any two
    layers in place of waiting, and a single image takes EfficientNet-Lite0 twice as long.
    """
    return ThreadPoolExecutor(1, thread_name_prefix="compute")


class _Image(NamedTuple):
    pixels: Tensor
    answer: asyncio.Future[Tensor]


class Batcher:
    """Gives `compute` (uint8 [batch, 3, crop, crop] to [batch, classes]) up to `size` images at once.

    A batch holds what has come by the time that the one before is done; what is being decoded meanwhile, and as many
    images as that one had, if they come within PATIENCE: to decode beside a network takes both longer than one after
    the other. A client that comes alone never waits. At most `most` images wait.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], size: int, most: int) -> None:
        self.compute, self.size, self.most = compute, size, most
        self.expected = self.decoding = 0  # images for which a request waits, and those of them that aren't here yet
        self._queue: asyncio.Queue[_Image] = asyncio.Queue()
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._before = 1  # images in the batch before

    @property
    def works(self) -> bool:
        """Whether images are computed, between `start` and `stop`."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin, in the event loop that runs."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End; whoever still waits, waits in vain."""
        assert self._task is not None
        self._task.cancel()

    @contextmanager
    def room_for(self, images: int) -> Any:
        """Hold the place of so many images until they are answered; raises RefusedError where there is none."""
        if self.expected and self.expected + images > self.most:
            raise overloaded()
        self.expected += images
        try:
            yield
        finally:
            self.expected -= images

    @contextmanager
    def awaited(self) -> Any:
        """Around the decoding of an image, for which a batch may wait."""
        self.decoding += 1
        try:
            yield
        finally:
            self.decoding -= 1
            self._came.set()

    async def __call__(self, pixels: Tensor) -> Tensor:
        """What `compute` returns for an image."""
        answer: asyncio.Future[Tensor] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Image(pixels, answer))
        self._came.set()
        return await answer

    async def alone(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What `work` returns, between two batches, in their thread."""
        return await asyncio.get_running_loop().run_in_executor(computing(), work, *arguments)

    async def _run(self) -> None:
        while True:
            batch = await self._next_batch()
            if batch:
                await self._answer(batch)

    async def _next_batch(self) -> list[_Image]:
        batch = [await self._queue.get()]
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while len(batch) < self.size:
            if not self._queue.empty():
                batch.append(self._queue.get_nowait())
            elif (not self.decoding and len(batch) >= self._before) or not await self._comes_until(deadline):
                break
        self._before = len(batch)
        return [image for image in batch if not image.answer.done()]  # nobody waits for others any more

    async def _comes_until(self, deadline: float) -> bool:
        self._came.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await self._came.wait()
        except TimeoutError:
            return False
        return True

    async def _answer(self, batch: list[_Image]) -> None:
        try:
            found = await self.alone(self._compute, [image.pixels for image in batch])
        except Exception as error:
            for image in batch:
                if not image.answer.done():
                    image.answer.set_exception(error)
            return
        for image, one in zip(batch, found, strict=True):
            if not image.answer.done():
                image.answer.set_result(one)

    def _compute(self, images: list[Tensor]) -> Tensor:
        return self.compute(torch.stack(images))  # which would take a team, too
