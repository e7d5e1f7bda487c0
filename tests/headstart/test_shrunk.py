"""Large training images are read from small copies, which look the same, are never stale, and may vanish any time."""

import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from headstart.errors import UserError
from headstart.features.inventory import prune_copies, stored_copies
from headstart.images.augmentation import LIGHT
from headstart.images.checks import check_images
from headstart.images.decoding import BrokenImageError, read_image
from headstart.images.loading import ImageDataset, Loading
from headstart.images.shrunk import ShrunkImages, shrunk_images
from headstart.images.table import Sample

from .test_scaled import PREPROCESSING, difference, photograph

SHORTEST = 128


@pytest.fixture
def paths(workdir: Path) -> list[str]:
    """A photograph three times as large as training can use, an upright PNG of it, and one that is small enough."""
    (workdir / "large.jpg").write_bytes(photograph(600, 400))
    Image.open("large.jpg").transpose(Image.Transpose.ROTATE_90).save("upright.png")
    (workdir / "small.jpg").write_bytes(photograph(300, 255))
    return ["large.jpg", "upright.png", "small.jpg"]


def shrunk(paths: list[str], folder: str = "shrunk") -> ShrunkImages:
    return ShrunkImages(check_images(paths, "checked").looks, SHORTEST, folder)


def files() -> list[Path]:
    return sorted(Path("shrunk").iterdir())


def test_a_copy_has_the_pixels_that_training_can_use_and_looks_the_same(paths: list[str]) -> None:
    images = shrunk(paths)
    large, upright, small = map(images.read, paths)
    assert (large.shape, upright.shape) == ((3, SHORTEST, 192), (3, 192, SHORTEST))
    assert difference(large, read_image("large.jpg")) < 1
    assert difference(upright, read_image("upright.png")) < 1
    assert torch.equal(small, read_image("small.jpg"))
    assert len(files()) == 2


def test_the_image_itself_is_not_decoded_again(paths: list[str]) -> None:
    before, status = shrunk(paths).read("large.jpg"), Path("large.jpg").stat()
    Path("large.jpg").write_bytes(b"x" * status.st_size)
    os.utime("large.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
    images = ShrunkImages(check_images(["large.jpg"], "checked", "skip").looks, SHORTEST, "shrunk")
    images.large.add("large.jpg")
    assert torch.equal(images.read("large.jpg"), before)
    os.utime("large.jpg")
    with pytest.raises(BrokenImageError, match=r"large\.jpg can't be decoded"):
        images.read("large.jpg")


def test_whatever_happens_to_the_copies_the_pixels_stay(paths: list[str], caplog: pytest.LogCaptureFixture) -> None:
    images = shrunk(paths)
    before = images.read("large.jpg")
    (copy,) = files()
    for damaged in (b"", copy.read_bytes()[:-300], b"\xff\xd8\xff" + b"x" * 99):
        copy.write_bytes(damaged)
        assert torch.equal(images.read("large.jpg"), before)
        assert torch.equal(images.read("large.jpg"), before)
    copy.unlink()
    assert torch.equal(images.read("large.jpg"), before)
    assert not caplog.messages
    shutil.rmtree("shrunk")
    Path("shrunk").write_text("no folder")
    for _ in range(2):
        assert torch.equal(images.read("large.jpg"), before)
    assert caplog.messages == ["shrunk can't be written (File exists): large images are shrunk in every epoch"]


def test_several_at_once_write_whole_copies(paths: list[str]) -> None:
    images = shrunk(paths)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(images.read, ["large.jpg"] * 32))
    assert all(torch.equal(image, found[0]) for image in found)
    assert [file.suffix for file in files()] == [".jpg"]


def test_another_size_is_another_copy(paths: list[str]) -> None:
    first = shrunk(paths)
    other = ShrunkImages(check_images(paths, "checked").looks, SHORTEST - 1, "shrunk")
    assert first.copy_of("large.jpg") == shrunk([str(Path("large.jpg").absolute())]).copy_of("large.jpg")
    assert first.copy_of("large.jpg") != other.copy_of("large.jpg")
    assert first.copy_of("large.jpg") != first.copy_of("small.jpg")


def test_training_alone_reads_them_and_says_so_in_a_line(paths: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    checked = check_images(paths, "checked")
    dataset = ImageDataset([Sample(path, 0) for path in paths], PREPROCESSING, view=None, augment=LIGHT)
    whole = [dataset[row][0] for row in range(3)]
    Loading(shrink=False).shrink_large(dataset, checked)
    assert torch.equal(dataset[0][0], whole[0])
    Loading(checked_dir="checked").shrink_large(dataset, checked)
    (line,) = caplog.messages
    assert line.startswith("data.shrink: 2 of 3 training images have 2 times the pixels a side")
    assert not Path("shrunk").exists()
    for row in (0, 1):
        assert 0 < (dataset[row][0].float() - whole[row].float()).abs().mean() < 5  # another pixel of crop, or two
    assert torch.equal(dataset[2][0], whole[2])
    assert len(files()) == 2
    assert shrunk_images(["small.jpg"], checked.looks, SHORTEST, "shrunk") is None


def test_prune(paths: list[str]) -> None:
    images = shrunk(paths)
    for path in paths:
        images.read(path)
    old, new = (images.copy_of(path) for path in paths[:2])
    for path in (old, new):
        os.utime(path, (0, 0))
    images.read("upright.png")  # which is in use again
    Path("shrunk/being-written.part").write_bytes(b"x")
    assert len(stored_copies("shrunk")) == 3
    assert [file.path for file in prune_copies("shrunk", 30)] == [old]
    assert new.exists()
    assert [file.path for file in prune_copies("shrunk", 0)] == [new]
    os.utime("shrunk/being-written.part", (0, 0))
    assert len(list(prune_copies("shrunk", 30))) == 1
    assert not files()


def test_a_value_that_makes_no_sense() -> None:
    with pytest.raises(UserError, match=r"data.shrink=small: choose auto or false"):
        Loading(shrink="small")  # pyright: ignore[reportArgumentType]
