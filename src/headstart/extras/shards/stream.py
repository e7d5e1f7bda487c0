"""Images straight from the shards: which device reads what, in which order, and how batches come out even."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ...errors import UserError
from ...images.order import Position
from .classes import number_of
from .tar import Packed, ShardSplit, read_shard, webdataset
from .unpack import Unpack

REMEMBERED = 8  # batches whose names are known; Lightning fetches one ahead


class Loaded(NamedTuple):
    """Images uint8 [batch, 3, crop, crop], labels int64 [batch], their names, and what is wrong with broken ones."""

    images: Tensor
    labels: Tensor
    names: list[str]
    broken: list[str]


class ShardStream(IterableDataset[Loaded]):
    """One device's batches of a split, each of its samples once; its workers take whole shards.

    A device takes every `world_size`-th shard or, where there are fewer shards than devices, every `world_size`-th
    sample. With `order`, shards are shuffled and then, `buffer` at a time, samples: the same text, the same order.
    """

    def __init__(
        self,
        split: ShardSplit,
        unpack: Unpack,
        numbers: dict[str, int],
        batch_size: int,
        place: tuple[int, int] = (0, 1),
        order: str | None = None,
        buffer: int = 1000,
    ) -> None:
        self.split, self.unpack, self.numbers, self.batch_size = split, unpack, numbers, batch_size
        self.rank, self.world_size = place
        self.order, self.buffer = order, buffer

    def __iter__(self) -> Iterator[Loaded]:
        for images, kept, broken in self.unpack.batches(self._samples(), self.batch_size):
            labels = [number_of(sample.label, self.numbers, sample.name) for sample in kept]
            yield Loaded(images, torch.tensor(labels), [sample.name for sample in kept], broken)

    def _samples(self) -> Iterator[Packed]:
        wds, shards = webdataset(), list(self.split.shards)
        if self.order is not None:
            Random(self.order).shuffle(shards)
        whole = len(shards) >= self.world_size
        stages = [wds.SimpleShardList(shards[self.rank :: self.world_size] if whole else shards), wds.split_by_worker]
        stages += [self._read] if whole else [self._read, self._every_nth]
        if self.order is not None:
            worker = get_worker_info()
            rng = Random(f"{self.order} {self.rank} {worker.id if worker else 0}")
            stages.append(wds.shuffle(self.buffer, initial=self.buffer, rng=rng))
        return iter(wds.DataPipeline(*stages))

    def _read(self, shards: Iterable[dict[str, str]]) -> Iterator[Packed]:
        for shard in shards:
            yield from (sample for sample in read_shard(shard["url"]) if self.split.has(sample))

    def _every_nth(self, samples: Iterator[Packed]) -> Iterator[Packed]:
        return islice(samples, self.rank, None, self.world_size)


class ShardLoader:
    """What a Trainer takes batches from: `open_stream(epoch)`, from wherever in the epoch training stands.

    A run that goes on in the middle of an epoch reads its beginning again, and gets the batches that it would have
    had. `on_broken` is told of images that were left out. With `agree`, which says whether any (`all=False`) or every
    process says yes, all processes get equally many batches of equal size: small ones are filled up with their own
    images, and who is done first gets its first batch again until all are done.
    """

    def __init__(
        self,
        open_stream: Callable[[int], Iterable[Loaded]],
        position: Position,
        on_broken: Callable[[list[str]], None],
        agree: Callable[..., bool] | None = None,
        batch_size: int = 1,
    ) -> None:
        self.open_stream, self.position, self.on_broken, self.agree = open_stream, position, on_broken, agree
        self.batch_size = batch_size
        self.names: dict[int, list[str]] = {}  # of the last batches' images

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, done = self.position()
        batches = self._whole(self.open_stream(epoch))
        batches = batches if self.agree is None else evenly(batches, self.batch_size, self.agree)
        for number, batch in enumerate(batches):
            self.names[number] = batch.names
            self.names.pop(number - REMEMBERED, None)
            if number >= done:
                yield batch.images, batch.labels

    def _whole(self, batches: Iterable[Loaded]) -> Iterator[Loaded]:
        for batch in batches:
            if batch.broken:
                self.on_broken(batch.broken)
            if batch.names:
                yield batch


def evenly(batches: Iterator[Loaded], size: int, agree: Callable[..., bool]) -> Iterator[Loaded]:
    """As many batches of `size` images for every process; raises UserError where one has none at all."""
    first = batch = next(batches, None)
    if not agree(first is not None, all=True):
        raise UserError("a process has no training image at all: give more shards, or fewer trainer.devices")
    while agree(batch is not None, all=False):
        assert first is not None
        yield _filled(batch or first, size)
        batch = next(batches, None)


def _filled(batch: Loaded, size: int) -> Loaded:
    rows = torch.arange(size) % len(batch.names)
    names = [batch.names[row] for row in rows.tolist()]
    return Loaded(batch.images[rows], batch.labels[rows], names, batch.broken)
