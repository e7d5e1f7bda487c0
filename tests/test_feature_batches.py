import pytest
import torch

from headstart.features.feature_batches import InOrder, Shuffled, WholeSet

COUNT = 10
LABELS = torch.arange(COUNT)
VIEWS = [LABELS.float().view(-1, 1), -LABELS.float().view(-1, 1)]


def shuffled(epoch: int, seed: int = 0, views: int = 1, **place: int) -> Shuffled:
    return Shuffled(VIEWS[:views], LABELS, 4, seed, lambda: epoch, **place)


def labels_of(batches: Shuffled | InOrder) -> list[int]:
    return torch.cat([labels for _, labels in batches]).tolist()


def test_an_epoch_sees_every_picture_once_with_its_label() -> None:
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
def test_every_validation_picture_is_measured_once(world_size: int) -> None:
    parts = [InOrder(VIEWS[0], LABELS, 4, rank, world_size) for rank in range(world_size)]
    assert sorted(label for part in parts for label in labels_of(part)) == list(range(COUNT))
    assert all(len(part) == len(list(part)) for part in parts)


def test_the_whole_set_is_handed_out_as_it_is() -> None:
    batches = list(WholeSet(VIEWS, LABELS))
    assert len(batches) == len(WholeSet(VIEWS, LABELS)) == 2
    assert batches[0][0] is VIEWS[0]
    assert batches[1][0] is VIEWS[1]
