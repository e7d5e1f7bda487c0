"""Head epochs on resident features: whole batches are gathered at once, with no worker and no collating."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class WholeSet:
    """Every view's features and the labels as they are: one batch for each view."""

    views: Sequence[Tensor]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.views)

    def __iter__(self) -> Iterator[Batch]:
        for features in self.views:
            yield features, self.labels


@dataclass(frozen=True)
class InOrder:
    """One device's share of the features, in batches, in the table's order."""

    features: Tensor
    labels: Tensor
    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        return -(-len(range(self.rank, len(self.labels), self.world_size)) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        own = slice(self.rank, None, self.world_size)
        yield from zip(self.features[own].split(self.batch_size), self.labels[own].split(self.batch_size), strict=True)


@dataclass(frozen=True)
class Shuffled:
    """One device's share of the features, in batches, in an order that only `seed` and `epoch()` decide.

    Epochs take turns with the views. All devices get equally many, as DistributedSampler sees to: the order's
    first pictures fill up the last ones' places.
    """

    views: Sequence[Tensor]
    labels: Tensor
    batch_size: int
    seed: int
    epoch: Callable[[], int]
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        return -(-self._share // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch()
        features = self.views[epoch % len(self.views)]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)  # which looks at 32 bits
        order = torch.randperm(len(self.labels), generator=generator)
        own = order.repeat(2)[self.rank :: self.world_size][: self._share]
        for rows in own.to(self.labels.device).split(self.batch_size):
            yield features[rows], self.labels[rows]

    @property
    def _share(self) -> int:
        return -(-len(self.labels) // self.world_size)
