"""Head epochs on resident features: whole batches are gathered at once, with no worker and no collating."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..images.order import Order, Position

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class FullBatch:
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
    """One device's share of the features, in batches, in `order`; epochs take turns with the views."""

    views: Sequence[Tensor]
    labels: Tensor
    order: Order
    position: Position

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        epoch, done = self.position()
        features = self.views[epoch % len(self.views)]
        for rows in self.order.batches(epoch)[done:]:
            rows = rows.to(self.labels.device)
            yield features.index_select(0, rows), self.labels.index_select(0, rows)  # a third of the time of [rows]
