"""Images straight from the shards: decoded, in which order, on which device, and how batches come out even."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import NamedTuple
from zlib import crc32

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ...errors import UserError
from ...images.checks import problem_with
from ...images.decoder_output import decode_each
from ...images.decoding import BrokenImageError, decode_image
from ...images.loading import Loading, threads
from ...images.order import Position
from ...images.transforms import RandomView
from .tar import Packed, ShardSplit, number_of, read_shard, webdataset

REMEMBERED = 8  # batches whose names are known; Lightning fetches one ahead


class LoadedBatch(NamedTuple):
    """Images uint8 [batch, 3, crop, crop], labels int64 [batch], their samples, and what is wrong with broken ones."""

    images: Tensor
    labels: Tensor
    samples: list[Packed]
    broken: list[str]


@dataclass(eq=False)
class ShardStream(IterableDataset[LoadedBatch]):
    """One device's batches of a split, each of its samples once; its workers take whole shards.

    `look` makes an image of what was decoded; `draw` and the sample's name are its seed. The device `place`, its rank
    and how many there are, takes every `world_size`-th shard or, where there are fewer shards than devices, every
    `world_size`-th sample. With `order`, shards are shuffled and then, `buffer` at a time, samples: the same text, the
    same order.

    Raises:
        BrokenImageError: an image is broken, and `loading.on_error` is `raise`.
    """

    split: ShardSplit
    numbers: dict[str, int]
    loading: Loading
    look: RandomView
    draw: Sequence[int] = ()
    place: tuple[int, int] = (0, 1)
    order: str | None = None
    buffer: int = 1000

    def __iter__(self) -> Iterator[LoadedBatch]:
        """Decode in a DataLoader's worker one after the other, in the main process on all cores."""
        samples = self._samples()
        while chunk := list(islice(samples, self.loading.batch_size)):
            run = map if get_worker_info() else threads().map
            outcomes = [
                f"{sample.name} can't be decoded ({warning})" if warning else outcome
                for sample, (outcome, warning) in zip(chunk, decode_each(self._decode, chunk, run), strict=True)
            ]
            images = [image for image in outcomes if isinstance(image, Tensor)]
            broken = [problem for problem in outcomes if isinstance(problem, str)]
            if broken and self.loading.on_error == "raise":
                raise BrokenImageError(f"{broken[0]}: replace it, or leave it out: data.on_error=skip")
            pairs = zip(outcomes, chunk, strict=True)
            kept = [sample._replace(content=b"") for image, sample in pairs if isinstance(image, Tensor)]
            labels = torch.tensor([number_of(sample.label, self.numbers, sample.name) for sample in kept])
            yield LoadedBatch(torch.stack(images) if images else torch.empty(0), labels, kept, broken)

    def _decode(self, sample: Packed) -> Tensor | str:
        """The image uint8 [3, crop, crop], or what is wrong with it."""
        try:
            if sample.problem:
                raise BrokenImageError(f"{sample.name} {sample.problem}")
            image = decode_image(sample.content, sample.name, self.loading.max_pixels, self.look.shortest)
        except BrokenImageError as error:
            return problem_with(error)
        return self.look(image, [*self.draw, crc32(sample.lasting_name.encode(errors="surrogateescape"))])

    def _samples(self) -> Iterator[Packed]:
        (rank, world_size), worker, shards = self.place, get_worker_info(), list(self.split.shards)
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        if self.order is not None:
            Random(self.order).shuffle(shards)
        whole = len(shards) >= world_size
        own = (shards[rank::world_size] if whole else shards)[number::workers]
        samples = (sample for shard in own for sample in read_shard(shard) if self.split.has(sample))
        samples = samples if whole else islice(samples, rank, None, world_size)
        if self.order is None:
            return samples
        rng = Random(f"{self.order} {rank} {number}")
        return webdataset().shuffle(self.buffer, initial=self.buffer, rng=rng)(samples)


@dataclass
class ShardLoader:
    """What a Trainer takes batches from: `open_stream(epoch)`, from wherever in the epoch training stands.

    A run that goes on in the middle of an epoch reads its beginning again, and gets the batches that it would have
    had. `on_broken` is told of images that were left out. With `agree`, which says whether any (`all=False`) or every
    process says yes, all processes get equally many batches of equal size: small ones are filled up with their own
    images, and who is done first gets its first batch again until all are done.
    """

    open_stream: Callable[[int], Iterable[LoadedBatch]]
    position: Position
    on_broken: Callable[[list[str]], None]
    agree: Callable[..., bool] | None = None
    batch_size: int = 1
    names: dict[int, list[str]] = field(default_factory=dict)  # of the last batches' images

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, done = self.position()
        batches = self._whole(self.open_stream(epoch))
        batches = joined(batches) if self.agree is None else evenly(batches, self.batch_size, self.agree)
        for number, batch in enumerate(batches):
            self.names[number] = [sample.name for sample in batch.samples]
            self.names.pop(number - REMEMBERED, None)
            if number >= done:
                yield batch.images, batch.labels

    def _whole(self, batches: Iterable[LoadedBatch]) -> Iterator[LoadedBatch]:
        for batch in batches:
            if batch.broken:
                self.on_broken(batch.broken)
            if batch.samples:
                yield batch


def joined(batches: Iterator[LoadedBatch]) -> Iterator[LoadedBatch]:
    """The batches, where a single image joins the one before, as BatchNorm can't train on a batch of one."""
    held = next(batches, None)
    for batch in batches:
        assert held is not None
        if len(batch.samples) > 1 or len(held.samples) == 1:
            yield held
            held = batch
        else:
            images, labels = (torch.cat(pair) for pair in zip(held[:2], batch[:2], strict=True))
            held = LoadedBatch(images, labels, held.samples + batch.samples, batch.broken)
    if held is not None:
        yield held


def evenly(batches: Iterator[LoadedBatch], size: int, agree: Callable[..., bool]) -> Iterator[LoadedBatch]:
    """As many batches of `size` images for every process; raises UserError where one has none at all."""
    first = batch = next(batches, None)
    if not agree(first is not None, all=True):
        raise UserError("a process has no training image at all: give more shards, or fewer trainer.devices")
    while agree(batch is not None, all=False):
        assert first is not None
        yield _filled(batch or first, size)
        batch = next(batches, None)


def _filled(batch: LoadedBatch, size: int) -> LoadedBatch:
    rows = torch.arange(size) % len(batch.samples)
    return LoadedBatch(batch.images[rows], batch.labels[rows], [batch.samples[row] for row in rows], batch.broken)
