from typing import Any

import pytest
import torch

from headstart.features.cache import FullBatch, InOrder, Shuffled
from headstart.images.order import EpochBatches, Order

COUNT = 10
LABELS = torch.arange(COUNT)
VIEWS = [LABELS.float().view(-1, 1), -LABELS.float().view(-1, 1)]


def shuffled(epoch: int, seed: int = 0, views: int = 1, done: int = 0, **device: Any) -> Shuffled:
    return Shuffled(VIEWS[:views], LABELS, Order(COUNT, 4, seed, **device), lambda: (epoch, done))


def labels_of(batches: Shuffled | InOrder) -> list[int]:
    return torch.cat([labels for _, labels in batches]).tolist()


def test_an_epoch_sees_every_image_once_with_its_label() -> None:
    batches = shuffled(0)
    assert sorted(labels_of(batches)) == list(range(COUNT))
    assert all(torch.equal(features[:, 0], labels.float()) for features, labels in batches)
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert len(batches) == 3


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    torch.manual_seed(1)
    first = labels_of(shuffled(3))
    torch.manual_seed(2)
    assert labels_of(shuffled(3)) == first
    assert labels_of(shuffled(4)) != first
    assert labels_of(shuffled(3, seed=1)) != first
    assert labels_of(shuffled(3, seed=1)) != labels_of(shuffled(4))


def test_an_epoch_goes_on_behind_the_batches_that_are_done() -> None:
    assert labels_of(shuffled(3, done=1)) == labels_of(shuffled(3))[4:]
    assert len(shuffled(3, done=1)) == 3  # of the whole epoch: Lightning counts those that are done, too


def test_live_batches_take_the_same_order_and_number_the_draws() -> None:
    batches = EpochBatches(Order(COUNT, 4, 7), lambda: (2, 1))
    rows = [row for batch in batches for row in batch]
    assert [row - 2 * COUNT for row in rows] == labels_of(shuffled(2, seed=7, done=1))
    assert len(batches) == 3


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_a_sampler_draws_by_weight_and_its_order_is_a_function_of_seed_and_epoch(world_size: int) -> None:
    weights = torch.tensor([9, 9] + [0.25] * 8, dtype=torch.float64)  # 9:1 for the first two
    device = {"weights": weights, "world_size": world_size}
    parts = [[labels_of(shuffled(epoch, **device, rank=rank)) for rank in range(world_size)] for epoch in range(300)]
    assert len({len(part) for epoch in parts for part in epoch}) == 1
    drawn = torch.tensor([label for epoch in parts for part in epoch for label in part])
    assert (drawn < 2).float().mean() == pytest.approx(0.9, abs=0.03)
    assert set(drawn.tolist()) == set(range(COUNT))
    assert [labels_of(shuffled(7, **device, rank=rank)) for rank in range(world_size)] == parts[7]
    assert parts[7] != parts[8]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_image_that_is_drawn_twice_is_augmented_anew(rank: int) -> None:
    order = Order(COUNT, 6, 7, rank, 2, weights=torch.tensor([1.0] + [0.001] * 9, dtype=torch.float64))
    numbers = [[n for batch in EpochBatches(order, lambda: (epoch, 0)) for n in batch] for epoch in (1, 2)]  # noqa: B023
    assert len(set(numbers[0] + numbers[1])) == 10
    assert [n % COUNT for n in numbers[0]] == torch.cat(order.batches(1)).tolist()
    assert [n for batch in EpochBatches(order, lambda: (1, 1)) for n in batch] == numbers[0][3:]


def test_epochs_take_turns_with_the_views() -> None:
    signs = [next(iter(shuffled(epoch, views=2)))[0].sum().sign().item() for epoch in range(4)]
    assert signs == [1, -1, 1, -1]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_devices_share_an_epoch_in_equal_parts(world_size: int) -> None:
    parts = [labels_of(shuffled(5, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(part) for part in parts}) == 1
    assert set().union(*parts) == set(range(COUNT))
    assert sum(map(len, parts)) - COUNT < world_size


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_every_validation_image_is_measured_once(world_size: int) -> None:
    parts = [InOrder(VIEWS[0], LABELS, 4, rank, world_size) for rank in range(world_size)]
    assert sorted(label for part in parts for label in labels_of(part)) == list(range(COUNT))
    assert all(len(part) == len(list(part)) for part in parts)


def test_the_whole_set_is_handed_out_as_it_is() -> None:
    batches = list(FullBatch(VIEWS, LABELS))
    assert len(batches) == len(FullBatch(VIEWS, LABELS)) == 2
    assert batches[0][0] is VIEWS[0]
    assert batches[1][0] is VIEWS[1]


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(3, [3, 3, 4]), (9, [10]), (4, [4, 4, 2]), (10, [10]), (1, [1] * 10)]
)
def test_an_image_that_is_left_over_joins_the_batch_before(batch_size: int, sizes: list[int]) -> None:
    for weights in (None, torch.ones(COUNT, dtype=torch.float64)):
        order = Order(COUNT, batch_size, weights=weights)
        assert [len(rows) for rows in order.batches(1)] == [len(rows) for rows in order.draws(1)] == sizes
        assert len(order) == len(sizes)
        assert torch.equal(torch.cat(order.batches(1)), Order(COUNT, COUNT, weights=weights).batches(1)[0])
    assert [len(rows) for rows in Order(COUNT, 8, rank=1, world_size=2).batches(0)] == [5]  # of 5 on each device


@pytest.mark.parametrize(("batch_size", "world_size"), [(6, 2), (5, 2), (5, 5), (4, 4)])
def test_devices_take_one_device_s_batches_together(batch_size: int, world_size: int) -> None:
    rounded = -(-batch_size // world_size) * world_size
    alone = Order(COUNT, rounded).batches(3)
    parts = [Order(COUNT, batch_size, rank=rank, world_size=world_size).batches(3) for rank in range(world_size)]
    for whole, *shared in zip(alone[:-1], *parts, strict=False):
        assert torch.stack(shared, dim=1).flatten().tolist() == whole.tolist()
    assert len(alone) == len(parts[0])
