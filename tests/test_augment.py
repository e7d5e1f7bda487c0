import pytest
import torch
from torch import Tensor

from headstart.backbones import Preprocessing
from headstart.data.augment import RandomCropAndFlip
from headstart.data.picture_dataset import PictureDataset
from headstart.data.sources import find_pictures

PREPROCESSING = Preprocessing(36, 32, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def ramp(height: int, width: int) -> Tensor:
    """Brightness tells where a pixel was: red by row, green by column."""
    rows = torch.linspace(0, 255, height).view(-1, 1).expand(height, width)
    columns = torch.linspace(0, 255, width).expand(height, width)
    return torch.stack([rows, columns, rows]).to(torch.uint8)


def test_the_seed_decides() -> None:
    augment = RandomCropAndFlip(PREPROCESSING)
    picture = ramp(60, 90)
    assert torch.equal(augment(picture, 3), augment(picture, 3))
    assert len({augment(picture, seed).numpy().tobytes() for seed in range(20)}) == 20


@pytest.mark.parametrize("size", [(60, 90), (200, 40), (1, 1), (3, 500)])
def test_any_picture_comes_out_in_the_right_size(size: tuple[int, int]) -> None:
    found = RandomCropAndFlip(PREPROCESSING)(ramp(*size), 0)
    assert (found.shape, found.dtype) == ((3, 32, 32), torch.uint8)


def test_crops_hold_half_of_the_picture_and_half_of_them_are_flipped() -> None:
    augment, picture = RandomCropAndFlip(PREPROCESSING), ramp(64, 64)
    flipped = 0
    for seed in range(200):
        red, green = augment(picture, seed)[:2].float() / 255
        area = (red.max() - red.min()) * (green.max() - green.min())
        assert area > 0.4  # of 0.5; resizing blurs the borders
        flipped += int(green[0, 0] > green[0, -1])
    assert 70 < flipped < 130


@pytest.fixture
def dataset(pictures) -> PictureDataset:
    return PictureDataset(find_pictures(pictures).train, PREPROCESSING)


def test_views_are_the_same_every_time_and_view_0_is_the_plain_picture(dataset: PictureDataset) -> None:
    plain, again = dataset[3][0], PictureDataset(dataset.samples, PREPROCESSING)[3][0]
    assert torch.equal(plain, again)
    views = [PictureDataset(dataset.samples, PREPROCESSING, view=view)[3][0] for view in (1, 1, 2)]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert not torch.equal(views[0], plain)


def test_live_views_are_new_every_time_and_follow_the_seed(dataset: PictureDataset) -> None:
    def draw(number: int, seed: int = 0) -> Tensor:
        live = PictureDataset(dataset.samples, PREPROCESSING, view=None, seed=seed)
        return torch.stack([picture for picture, _ in live.__getitems__([1 + number * len(live), 2])])

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3)[0], draw(4)[0])
    assert torch.equal(draw(3)[1], draw(4)[1])
    assert not torch.equal(draw(3), draw(3, seed=1))


def test_a_batch_read_by_threads_is_what_one_by_one_gives(dataset: PictureDataset) -> None:
    batch = dataset.__getitems__([5, 0, 39])
    for (picture, label), index in zip(batch, (5, 0, 39), strict=True):
        assert torch.equal(picture, dataset[index][0])
        assert label == dataset.samples[index].label
