import shutil
from pathlib import Path

import pytest
from odd_images import saved

import headstart.images.checks
from headstart.images.checks import check_images
from headstart.images.duplicates import find_duplicates
from project.data.datasets import folder


@pytest.fixture
def root(images: Path, tmp_path: Path) -> Path:
    """The images: one in train and test, one in val and test, one twice in train, and three that are all the same."""
    root = shutil.copytree(images, tmp_path / "root")
    copies = {"train/star/0000.jpg": "test/star/t.jpg", "val/star/0001.jpg": "test/ring/t.jpg"}
    copies |= {"train/ring/0002.jpg": "train/ring/t.jpg"}
    copies |= {"train/ring/0003.jpg": "val/ring/t.jpg", "val/ring/t.jpg": "test/ring/u.jpg"}
    for source, copy in copies.items():
        (root / copy).write_bytes((root / source).read_bytes())
    return root


def test_files_of_the_same_bytes_are_found_and_others_of_that_size_are_not(tmp_path: Path) -> None:
    content = {"a": b"12345", "b": b"12346", "c": b"12345", "d": b"1", "e": b"12346", "f": b"12345"}
    for name, some in content.items():
        (tmp_path / name).write_bytes(some)
    found = find_duplicates([str(tmp_path / name) for name in (*content, "nowhere")])
    assert [[Path(path).name for path in some] for some in found] == [["a", "c", "f"], ["b", "e"]]


def test_images_in_two_splits_are_counted_in_every_run_and_compared_in_the_first(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in range(2):
        folder(root, checked_dir=tmp_path / "passed").setup()
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith("3 images are in more than one split, byte for byte, such as ")
        first, second = (Path(word.rstrip(":")) for word in line.split() if word.rstrip(":").endswith(".jpg"))
        assert first.read_bytes() == second.read_bytes()
        caplog.clear()
        if run == 0:
            monkeypatch.setattr(
                headstart.images.checks, "find_duplicates", lambda _: pytest.fail("they were compared again")
            )


def test_a_record_from_before_is_written_anew(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(saved("png"))
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    check_images(paths, tmp_path / "passed")
    (record,) = (tmp_path / "passed").iterdir()
    record.write_text("[]")
    assert check_images(paths, tmp_path / "passed").duplicates == [paths]
    assert check_images(reversed(paths), tmp_path / "passed").duplicates == [paths]
