import shutil
from pathlib import Path

import pytest
from odd_images import saved

import headstart.images.checks
from headstart.images.checks import check_images, find_duplicates, leave_out, without_broken
from headstart.images.splits import Splitting
from headstart.images.table import Row, image_table


@pytest.fixture
def root(images: Path, tmp_path: Path) -> Path:
    """The images: one in train and test, one in val and test, one twice in train, and three that are all the same."""
    root = shutil.copytree(images, tmp_path / "root")
    copies = {"train/red/0000.jpg": "test/red/t.jpg", "val/red/0001.jpg": "test/gold/t.jpg"}
    copies |= {"train/gold/0002.jpg": "train/gold/t.jpg"}
    copies |= {"train/gold/0003.jpg": "val/gold/t.jpg", "val/gold/t.jpg": "test/gold/u.jpg"}
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
    rows = [Row(str(path), path.parent.name, path.parents[1].name) for path in root.rglob("*.jpg")]
    table = image_table(rows, Splitting(), "here")
    for run in range(2):
        without_broken(table, tmp_path / "checked", "raise", 10**6)
        line = caplog.records[0].getMessage()
        assert line.startswith("3 images are in more than one split, byte for byte, ")
        words = [word.rstrip(":;,") for word in line.split()]
        files = [Path(word) for word in words if word.endswith(".jpg")]
        assert len(files) == 3 + 4  # one image is in three splits
        assert {file.read_bytes() for file in files} == {
            (root / f"train/{name}.jpg").read_bytes() for name in ("red/0000", "gold/0003")
        } | {(root / "val/red/0001.jpg").read_bytes()}
        caplog.clear()
        if run == 0:
            monkeypatch.setattr(
                headstart.images.checks, "find_duplicates", lambda _: pytest.fail("they were compared again")
            )


def test_duplicates_are_remembered_in_any_order(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(saved("png"))
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert check_images(paths, tmp_path / "checked").duplicates == [paths]
    assert check_images(reversed(paths), tmp_path / "checked").duplicates == [paths]


def test_every_image_that_has_two_labels_is_named(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(images / "train", tmp_path / "root")
    wanted = [("red/0000.jpg", "blue/x.jpg"), ("gold/0001.jpg", "pink/y.jpg"), ("grey/0002.jpg", "cyan/z.jpg")]
    for source, copy in (*wanted, ("red/0001.jpg", "red/same.jpg")):
        (root / copy).write_bytes((root / source).read_bytes())
    rows = [Row(str(path), path.parent.name, "train") for path in root.rglob("*.jpg")]
    without_broken(image_table(rows, Splitting(0, 0), "here"), tmp_path / "checked", "raise", 10**6)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("3 images are in more than one class, byte for byte, ")
    assert all(f"{root / min(pair)} and {root / max(pair)}" in line for pair in wanted)
    assert "same.jpg" not in line


def test_a_class_without_a_whole_training_image_is_named_with_all_others(images: Path) -> None:
    rows = [Row(str(path), path.parent.name, "train") for path in (images / "train").rglob("*.jpg")]
    broken = {row.path for row in rows if row.label in ("red", "blue", "pink")}
    with pytest.raises(ValueError, match="class 'blue'; 'pink'; 'red' has no training image that isn't broken"):
        leave_out(image_table(rows, Splitting(0, 0), "here"), broken)
