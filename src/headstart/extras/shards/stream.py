"""Images straight from the shards: decoded, in which order, on which device, and how batches come out even."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import NamedTuple
from zlib import crc32

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ...backbone import Preprocessing
from ...errors import UserError
from ...images.augmentation import Augment
from ...images.dataset import threads
from ...images.decoding import BrokenImageError, decode_image
from ...images.order import Position
from ...images.transforms import RandomView, ResizeAndCrop
from .classes import number_of
from .tar import Packed, ShardSplit, read_shard, webdataset

REMEMBERED = 8  # batches whose names are known; Lightning fetches one ahead


class SampleDecoder:
    """Turns a packed sample into an image uint8 [3, crop, crop]; the text of what is wrong with a broken one.

    With `draw`, it is one of its looks by `augment`, which these numbers and the sample's name decide.

    Raises:
        BrokenImageError: the image is broken, and `on_error` is `raise`.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        max_pixels: int,
        on_error: str,
        augment: Augment,
        draw: Sequence[int] | None = None,
    ) -> None:
        self.max_pixels, self.on_error, self.draw = max_pixels, on_error, draw
        self.plain, self.augmented = ResizeAndCrop(preprocessing), RandomView(preprocessing, augment)

    def __call__(self, sample: Packed) -> Tensor | str:
        """Do it for one sample."""
        try:
            image = decode_image(sample.content, sample.name, self.max_pixels)
        except BrokenImageError as error:
            if self.on_error == "raise":
                raise BrokenImageError(f"{error}: replace it, or leave it out: data.on_error=skip") from error
            return str(error)
        if self.draw is None:
            return self.plain(image)
        return self.augmented(image, [*self.draw, crc32(sample.lasting_name.encode())])

    def batches(self, samples: Iterable[Packed], size: int) -> Iterator[tuple[Tensor, list[Packed], list[str]]]:
        """Images [batch, 3, crop, crop], the samples that they are from, and what is wrong with the broken ones.

        In a DataLoader's worker one after the other, in the main process on all cores.
        """
        samples = iter(samples)
        while chunk := list(islice(samples, size)):
            outcomes = list((map if get_worker_info() else threads().map)(self, chunk))
            pairs = list(zip(outcomes, chunk, strict=True))
            images = [image for image in outcomes if isinstance(image, Tensor)]
            kept = [sample for image, sample in pairs if isinstance(image, Tensor)]
            broken = [problem for problem in outcomes if isinstance(problem, str)]
            yield torch.stack(images) if images else torch.empty(0, dtype=torch.uint8), kept, broken


class LoadedBatch(NamedTuple):
    """Images uint8 [batch, 3, crop, crop], labels int64 [batch], their names, and what is wrong with broken ones."""

    images: Tensor
    labels: Tensor
    names: list[str]
    broken: list[str]


class ShardStream(IterableDataset[LoadedBatch]):
    """One device's batches of a split, each of its samples once; its workers take whole shards.

    A device takes every `world_size`-th shard or, where there are fewer shards than devices, every `world_size`-th
    sample. With `order`, shards are shuffled and then, `buffer` at a time, samples: the same text, the same order.
    """

    def __init__(
        self,
        split: ShardSplit,
        decoder: SampleDecoder,
        numbers: dict[str, int],
        batch_size: int,
        place: tuple[int, int] = (0, 1),
        order: str | None = None,
        buffer: int = 1000,
    ) -> None:
        self.split, self.decoder, self.numbers, self.batch_size = split, decoder, numbers, batch_size
        self.rank, self.world_size = place
        self.order, self.buffer = order, buffer

    def __iter__(self) -> Iterator[LoadedBatch]:
        for images, kept, broken in self.decoder.batches(self._samples(), self.batch_size):
            labels = [number_of(sample.label, self.numbers, sample.name) for sample in kept]
            yield LoadedBatch(images, torch.tensor(labels), [sample.name for sample in kept], broken)

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
        open_stream: Callable[[int], Iterable[LoadedBatch]],
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

    def _whole(self, batches: Iterable[LoadedBatch]) -> Iterator[LoadedBatch]:
        for batch in batches:
            if batch.broken:
                self.on_broken(batch.broken)
            if batch.names:
                yield batch


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
    rows = torch.arange(size) % len(batch.names)
    names = [batch.names[row] for row in rows.tolist()]
    return LoadedBatch(batch.images[rows], batch.labels[rows], names, batch.broken)
