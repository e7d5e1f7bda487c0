import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from runs import composed
from torch import Tensor
from torchvision.transforms import v2

from headstart.backbone import Preprocessing
from headstart.images.augmentation import Augment
from headstart.images.loading import ImageDataset
from headstart.images.table import Sample
from headstart.images.transforms import RandomView, ResizeAndCrop

PREPROCESSING = Preprocessing(36, 32, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def ramp(height: int, width: int) -> Tensor:
    """Brightness tells where a pixel was: red by row, green by column."""
    rows = torch.linspace(0, 255, height).view(-1, 1).expand(height, width)
    columns = torch.linspace(0, 255, width).expand(height, width)
    return torch.stack([rows, columns, rows]).to(torch.uint8)


def test_the_seed_decides() -> None:
    augment = RandomView(PREPROCESSING)
    image = ramp(60, 90)
    assert torch.equal(augment(image, 3), augment(image, 3))
    assert len({augment(image, seed).numpy().tobytes() for seed in range(20)}) == 20


@pytest.mark.parametrize("size", [(60, 90), (200, 40), (1, 1), (3, 500)])
def test_any_image_comes_out_in_the_right_size(size: tuple[int, int]) -> None:
    found = RandomView(PREPROCESSING)(ramp(*size), 0)
    assert (found.shape, found.dtype) == ((3, 32, 32), torch.uint8)


def test_crops_hold_half_of_the_image_and_half_of_them_are_flipped() -> None:
    augment, image = RandomView(PREPROCESSING), ramp(64, 64)
    flipped = 0
    for seed in range(200):
        red, green = augment(image, seed)[:2].float() / 255
        area = (red.max() - red.min()) * (green.max() - green.min())
        assert area > 0.4  # of 0.5; resizing blurs the borders
        flipped += int(green[0, 0] > green[0, -1])
    assert 70 < flipped < 130


def preset(name: str) -> Augment:
    return instantiate(composed(f"augment={name}").augment)


def test_none_and_flip_keep_the_backbones_own_crop() -> None:
    image, plain = ramp(60, 90), ResizeAndCrop(PREPROCESSING)(ramp(60, 90))
    assert torch.equal(RandomView(PREPROCESSING, preset("none"))(image, 0), plain)
    flip = RandomView(PREPROCESSING, preset("flip"))
    flips = [flip(image, seed) for seed in range(200)]
    mirrored = [torch.equal(found, plain.flip(-1)) for found in flips]
    assert all(torch.equal(found, plain) != is_flipped for found, is_flipped in zip(flips, mirrored, strict=True))
    assert 70 < sum(mirrored) < 130


def test_wider_presets_crop_more_than_light() -> None:
    def smallest(name: str) -> float:
        view = RandomView(PREPROCESSING, replace(preset(name), policy=None))
        shown = [view(ramp(64, 64), seed)[:2].flatten(1).float() / 255 for seed in range(100)]
        return min(float((both.amax(1) - both.amin(1)).prod()) for both in shown)

    assert smallest("trivial") == smallest("randaugment") < 0.4 < smallest("light") < 0.6


@pytest.mark.parametrize("name", ["randaugment", "trivial"])
def test_each_image_has_a_policy_of_its_own_that_only_its_seed_decides(name: str) -> None:
    strong, bare = (RandomView(PREPROCESSING, a) for a in (preset(name), replace(preset(name), policy=None)))
    image = ramp(64, 64)
    torch.manual_seed(1)
    first = [strong(image, [0, seed]) for seed in range(32)]
    state = torch.get_rng_state()
    torch.manual_seed(2)
    with ThreadPoolExecutor(4) as threads:
        second = list(threads.map(lambda seed: strong(image, [0, seed]), range(32)))
    assert torch.equal(torch.stack(first), torch.stack(second))
    assert (first[0].dtype, first[0].shape) == (torch.uint8, (3, 32, 32))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's draws are moved
    changed = [not torch.equal(found, bare(image, [0, seed])) for seed, found in enumerate(first)]
    assert 12 < sum(changed) <= 32


def test_images_of_one_batch_go_through_different_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    real = v2.RandAugment._apply_image_or_video_transform

    def noted(self: v2.RandAugment, image: Tensor, transform_id: str, *args: Any, **kwargs: Any) -> Any:
        used.append(transform_id)
        return real(self, image, transform_id, *args, **kwargs)

    monkeypatch.setattr(v2.RandAugment, "_apply_image_or_video_transform", noted)
    view = RandomView(PREPROCESSING, preset("randaugment"))
    for row in range(32):
        view(ramp(32, 32), [0, 0, row])
    assert len(used) == 64
    assert len(set(used)) > 8  # of 14


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scale", [0.9, 0.5]), ("scale", 0.5), ("scale", [0, 1]), ("scale", [0.5, 2]), ("flip", "maybe"),
        ("mixup", -1), ("cutmix", "x"), ("mixup", float("inf")), ("policy", "rand"),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_named(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"augment.{key}={value}")):
        Augment(**{key: value})


def test_what_varies_can_not_be_cached() -> None:
    assert not preset("none").varies
    assert all(preset(name).varies for name in ("flip", "light", "randaugment", "trivial"))
    assert Augment(mixup=0.2).varies


@pytest.fixture
def dataset(images: Path) -> ImageDataset:
    paths = sorted(images.glob("train/*/*.jpg"))
    return ImageDataset([Sample(str(path), number // 4) for number, path in enumerate(paths)], PREPROCESSING)


def test_views_are_the_same_every_time_and_view_0_is_the_plain_image(dataset: ImageDataset) -> None:
    plain, again = dataset[3][0], ImageDataset(dataset.samples, PREPROCESSING)[3][0]
    assert torch.equal(plain, again)
    views = [ImageDataset(dataset.samples, PREPROCESSING, view=view)[3][0] for view in (1, 1, 2)]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert not torch.equal(views[0], plain)


def test_live_views_are_new_every_time_and_follow_the_seed(dataset: ImageDataset) -> None:
    def draw(number: int, seed: int = 0) -> Tensor:
        live = ImageDataset(dataset.samples, PREPROCESSING, view=None, seed=seed)
        return torch.stack([image for image, _ in live.__getitems__([1 + number * len(live), 2])])

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3)[0], draw(4)[0])
    assert torch.equal(draw(3)[1], draw(4)[1])
    assert not torch.equal(draw(3), draw(3, seed=1))


def test_a_batch_read_by_threads_is_what_one_by_one_gives(dataset: ImageDataset) -> None:
    batch = dataset.__getitems__([5, 0, 39])
    for (image, label), index in zip(batch, (5, 0, 39), strict=True):
        assert torch.equal(image, dataset[index][0])
        assert label == dataset.samples[index].label
