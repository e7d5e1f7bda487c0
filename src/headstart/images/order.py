"""The order in which images are trained on: a function of seed and epoch, so that any run can go on in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Position = Callable[[], tuple[int, int]]  # the epoch, and how many of its batches are done


def per_device(images: int, world_size: int) -> int:
    """Each device's part of so many images, the same for all: rounded up."""
    return -(-images // world_size)


@dataclass(frozen=True)
class Order:
    """One device's batches of `count` images, in an order that only `seed` and the epoch decide.

    All devices together take the batches of `batch_size` that one would take, so that it is the same training. They
    get equally many images, as with DistributedSampler: the order's first ones come again at its end where it doesn't
    divide evenly. With `weights` [count], each image is drawn anew from all, in proportion to them.
    """

    count: int
    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self._sizes)

    def batches(self, epoch: int) -> tuple[Tensor, ...]:
        """The rows [batch] of every batch of an epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)  # which looks at 32 bits
        if self.weights is None:
            order = torch.randperm(self.count, generator=generator)
        else:
            order = torch.multinomial(self.weights, self.count, replacement=True, generator=generator)
        return order.repeat(2)[self.rank :: self.world_size][: self._per_device].split(self._sizes)

    def draws(self, epoch: int) -> tuple[Tensor, ...]:
        """A number for every row [batch] of every batch of an epoch: no image comes twice with the same."""
        numbers = torch.full((self.count,), epoch)
        if self.weights is not None:
            numbers = epoch * self.count + torch.arange(self.count)
        return numbers.repeat(2)[self.rank :: self.world_size][: self._per_device].split(self._sizes)

    @property
    def _per_device(self) -> int:
        return per_device(self.count, self.world_size)

    @property
    def _sizes(self) -> list[int]:
        """Of every batch."""
        size = per_device(self.batch_size, self.world_size)
        whole, rest = divmod(self._per_device, size)
        sizes = [size] * whole + ([rest] if rest else [])
        return [*sizes[:-2], size + 1] if rest == 1 and whole else sizes


@dataclass(frozen=True)
class EpochBatches:
    """A DataLoader's batch sampler: lists of `row + draw * count`, from wherever in the epoch training stands.

    The draw tells an image's views apart, where it looks new each time.
    """

    order: Order
    position: Position

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[list[int]]:
        epoch, done = self.position()
        for rows, draws in zip(self.order.batches(epoch)[done:], self.order.draws(epoch)[done:], strict=True):
            yield (rows + draws * self.order.count).tolist()


def position_of(trainer: Any) -> tuple[int, int]:
    """The epoch that `trainer`, a Lightning Trainer, is in or about to begin, and how many of its batches are done.

    Right at every moment at which Lightning asks a loader for its batches, also when it has just read a checkpoint.
    """
    epochs = trainer.fit_loop.epoch_progress.current
    begun = epochs.started > epochs.processed
    done = trainer.fit_loop.epoch_loop.batch_progress.current.ready if begun else 0
    return 0 if trainer.overfit_batches else trainer.current_epoch, done
