from pathlib import Path

import pytest

from headstart.images.splits import Splitting
from project.data.folder import find_images


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def fill(root: Path, count: int, *classes: str) -> None:
    touch(*(root / name / f"{i:03}.jpg" for name in classes for i in range(count)))


def names(samples: tuple) -> set[str]:
    return {Path(sample.path).name for sample in samples}


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders_are_used_as_they_are(tmp_path: Path, val: str) -> None:
    for split, count in (("train", 5), (val, 2), ("test", 3)):
        fill(tmp_path / split, count, "dog", "cat")
    found = find_images(tmp_path)
    assert found.classes == ("cat", "dog")
    assert [len(found.train), len(found.val), len(found.test)] == [10, 4, 6]
    assert all(val in Path(sample.path).parts for sample in found.val)
    assert {(Path(s.path).parent.name, s.label) for s in found.test} == {("cat", 0), ("dog", 1)}


def test_without_split_folders_the_split_is_seeded_stratified_and_whole(tmp_path: Path) -> None:
    fill(tmp_path, 50, "a")
    fill(tmp_path, 20, "b")
    found = find_images(tmp_path, Splitting(0.1, 0.2, seed=1))
    counts = {
        split: [sum(s.label == label for s in getattr(found, split)) for label in (0, 1)]
        for split in ("train", "val", "test")
    }
    assert counts == {"train": [35, 14], "val": [5, 2], "test": [10, 4]}
    paths = [s.path for s in (*found.train, *found.val, *found.test)]
    assert len(set(paths)) == 70
    assert find_images(tmp_path, Splitting(0.1, 0.2, seed=1)) == found
    assert find_images(tmp_path, Splitting(0.1, 0.2, seed=2)).test != found.test


def test_new_images_in_one_class_leave_the_split_of_the_others(tmp_path: Path) -> None:
    fill(tmp_path, 20, "a", "b")
    before = find_images(tmp_path)
    fill(tmp_path, 30, "a")
    after = find_images(tmp_path)
    assert [s for s in before.test if s.label == 1] == [s for s in after.test if s.label == 1]


def test_a_missing_split_is_cut_from_train_never_from_the_others(tmp_path: Path) -> None:
    fill(tmp_path / "train", 20, "a", "b")
    fill(tmp_path / "test", 5, "a", "b")
    found = find_images(tmp_path, Splitting(val_fraction=0.1))
    assert [len(found.train), len(found.val), len(found.test)] == [36, 4, 10]
    assert all("train" in Path(sample.path).parts for sample in found.val)


def test_nested_folders_any_ending_and_strangers(tmp_path: Path) -> None:
    fill(tmp_path, 5, "a", "b")
    touch(tmp_path / "a" / "deep" / "er" / "X.JPEG", tmp_path / "a" / "y.TiFf", tmp_path / "a" / "z.webp")
    touch(
        tmp_path / "a" / "notes.txt",
        tmp_path / "README.md",
        tmp_path / "stray.jpg",
        tmp_path / "a" / "._000.jpg",
    )
    touch(tmp_path / "__MACOSX" / "a" / "000.jpg", tmp_path / ".cache" / "000.jpg")
    found = find_images(tmp_path)
    everything = names((*found.train, *found.val, *found.test))
    assert found.classes == ("a", "b")
    assert {"X.JPEG", "y.TiFf", "z.webp"} <= everything
    assert found.ignored == 4
    assert "4 other files ignored" in str(found)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path, 5, "bus", "train", "car")
    assert find_images(tmp_path).classes == ("bus", "car", "train")


def test_everything_can_be_test(tmp_path: Path) -> None:
    fill(tmp_path, 3, "a", "b")
    found = find_images(tmp_path, Splitting(val_fraction=0, test_fraction=1))
    assert [len(found.train), len(found.val), len(found.test)] == [0, 0, 6]


def no_folder(root: Path) -> Path:
    return root / "nowhere"


def no_images(root: Path) -> Path:
    touch(root / "a" / "notes.txt", root / "b" / "notes.txt")
    return root


def one_class(root: Path) -> Path:
    fill(root, 5, "a")
    return root


def empty_class(root: Path) -> Path:
    fill(root, 5, "a", "b")
    (root / "c").mkdir()
    return root


def only_in_test(root: Path) -> Path:
    fill(root / "train", 5, "a", "b")
    fill(root / "test", 5, "a", "b", "c")
    return root


def too_few(root: Path) -> Path:
    fill(root, 5, "a")
    fill(root, 2, "b")
    return root


def two_validations(root: Path) -> Path:
    for split in ("train", "val", "validation"):
        fill(root / split, 5, "a", "b")
    return root


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_folder, "there is no folder"),
        (no_images, "no images in"),
        (one_class, "only one class"),
        (empty_class, "class 'c' has no training image"),
        (only_in_test, "class 'c' exists in the test images"),
        (too_few, "class 'b' has 2 images, and a split into train and val and test needs 3"),
        (two_validations, "are both val images"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        find_images(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_that_may_not_be_read_is_named_and_not_left_out(nobody: Path) -> None:
    fill(nobody, 5, "a", "b")
    for folder in (nobody / "a", nobody):
        folder.chmod(0)
        with pytest.raises(ValueError, match=f"{folder} can't be read .Permission denied.: change its permissions"):
            find_images(nobody)
        folder.chmod(0o700)
