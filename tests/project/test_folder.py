import logging
import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from headstart.images.checks import check_images
from headstart.images.decoding import read_image
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
    assert found.ignored == {".txt": 1, ".md": 1, "hidden": 1, ".jpg in no class folder": 1}
    assert "4 other files ignored (1 " in str(found)


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
        (empty_class, r"no training image in .* of class 'c': add"),
        (only_in_test, r"no training image in .* of class 'c' \(but in test\): add"),
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


HUB = "datasets.data_files"  # whose words for the splits are the ones that people know


@pytest.mark.parametrize("style", ["{}", "{} 2", "{}-2017", "{}_set", "my_{}", "{} (1)"])
def test_splits_are_known_by_the_names_that_the_hub_knows(tmp_path: Path, style: str) -> None:
    keywords = pytest.importorskip(HUB).SPLIT_KEYWORDS
    for number, word in enumerate(word for words in keywords.values() for word in words):
        split = next("val" if name == "validation" else str(name) for name in keywords if word in keywords[name])
        root = tmp_path / str(number)
        train = style.format("Train" if split != "train" else word.title())
        other = style.format(word.upper() if split != "train" else "TEST")
        fill(root / train, 20, "cat", "dog")
        fill(root / other, 3, "cat", "dog")
        found = find_images(root)
        assert found.classes == ("cat", "dog")
        used = {
            f"{name}": {Path(sample.path).parts[-3] for sample in found.part(name)} for name in ("train", "val", "test")
        }
        assert used == {"train": {train}, "val": {train}, "test": {train}} | {
            split if split != "train" else "test": {other}
        }


def test_archives_unpack_into_a_folder_of_their_own_name(tmp_path: Path) -> None:
    for split in ("seg_train", "seg_test"):
        fill(tmp_path / split / split, 5, "sea", "street")
    found = find_images(tmp_path)
    assert (found.classes, len(found.train) + len(found.val), len(found.test)) == (("sea", "street"), 10, 10)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["A", "B"], r"A and .*B hold folders of the same names \(cat; dog\)"),
        (["2019", "2020", "2021"], "hold folders of the same names"),
        (["FlowersTrain", "FlowersTest"], "hold folders of the same names"),
        (["train", "check"], "hold folders of the same names"),
        (["val", "test"], "has a folder val; test, and none called train beside it"),
        ([".", "test"], "has a folder test, and none called train beside it"),
        ([".", "check"], r"check hold folders of the same names \(cat; dog\)"),
        (["train", "test", "check"], "check holds folders of the same names as .*train, but isn't called like a split"),
        (["train", "train (1)", "test"], "are both train images: keep one, or rename the other"),
        (["train", "dev", "Validation"], "are both val images"),
    ],
)
def test_splits_are_never_taken_for_classes(tmp_path: Path, folders: list[str], message: str) -> None:
    for split in folders:
        fill(tmp_path / split, 5, "cat", "dog")
    with pytest.raises(ValueError, match=message):
        find_images(tmp_path)


def test_splits_or_masks_inside_of_classes_are_refused_unless_they_are_groups(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 5, "train", "test")
    with pytest.raises(ValueError, match=r"hold folders of the same names \(test; train\), as splits do"):
        find_images(tmp_path)
    found = find_images(tmp_path, Splitting(0, 0.5, group="(train|test)/"))
    assert Counter(Path(sample.path).parent.name for sample in found.test) in ({"train": 10}, {"test": 10})


def test_classes_may_sound_like_splits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, classes in enumerate(
        (("bullet_train", "test_tube", "bus"), ("valid", "invalid"), ("training_shoes", "boots"), ("trains", "testers"))
    ):
        fill(tmp_path / str(number), 5, *classes)
        assert find_images(tmp_path / str(number)).classes == tuple(sorted(classes))
    assert not caplog.records


def test_a_folder_beside_the_splits_is_said_to_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path / "train", 5, "cat", "dog")
    fill(tmp_path / "test", 5, "cat", "dog")
    fill(tmp_path, 5, "extra")
    assert len(find_images(tmp_path).classes) == 2
    assert f"{tmp_path / 'extra'}: left out" in caplog.text


def test_thumbnails_and_other_leavings_of_systems_are_no_images(tmp_path: Path) -> None:
    fill(tmp_path, 5, "a", "b")
    for folder in ("@eaDir/000.jpg", "@eadir", "__MACOSX", ".thumbnails", "#recycle", "$RECYCLE.BIN", "lost+found"):
        touch(tmp_path / "a" / folder / "SYNOPHOTO_THUMB_M.jpg", tmp_path / folder / "a" / "x.jpg")
    found = find_images(tmp_path, Splitting(0, 0))
    assert (found.classes, len(found.train)) == (("a", "b"), 10)


def loop(root: Path) -> None:
    (root / "a" / "up").symlink_to("..")


def itself(root: Path) -> None:
    (root / "all").symlink_to(".")


def above(root: Path) -> None:
    (root / "a" / "above").symlink_to(root.parent)
    (root.parent / "elsewhere").mkdir()


def sibling(root: Path) -> None:
    (root / "a" / "0more").symlink_to("../b")


def outside_loop(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    for name, other in (("x", "y"), ("y", "x")):
        (outside / name).mkdir()
        (outside / name / other).symlink_to(f"../{other}")
    (root / "a" / "link").symlink_to(outside / "x")


@pytest.mark.parametrize("make", [loop, itself, above, sibling, outside_loop])
@pytest.mark.parametrize("splits", [False, True])
def test_links_that_lead_back_bring_nothing_in(
    tmp_path: Path, make, splits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    for split in ("train", "test") if splits else ("",):
        fill(root / split, 8, "a", "b")
    make(root / "train" if splits else root)
    found = find_images(root, Splitting(0, 0))
    real = {str(path) for path in root.rglob("*.jpg") if path.resolve() == path}  # which follows no links
    assert sorted(sample.path for sample in (*found.train, *found.test)) == sorted(real)
    assert found.classes == ("a", "b")
    assert "left out, a link to a folder" in caplog.text


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path / "store", 5, "a", "b")
    fill(tmp_path / "root" / ".hidden", 5, "c")
    for name, target in (("a", tmp_path / "store/a"), ("b", tmp_path / "store/b"), ("c", Path(".hidden/c"))):
        (tmp_path / "root" / name).symlink_to(target)
    found = find_images(tmp_path / "root", Splitting(0, 0))
    assert (found.classes, len(found.train)) == (("a", "b", "c"), 15)
    assert not caplog.records
    (tmp_path / "root" / "d").symlink_to("a")
    with pytest.raises(ValueError, match=r"no training image in .* of class 'd'"):
        find_images(tmp_path / "root")
    (tmp_path / "root" / "d").unlink()
    (tmp_path / "root" / "d").symlink_to("nowhere")
    with pytest.raises(ValueError, match="d is a link to nowhere, which isn't there"):
        find_images(tmp_path / "root")


def test_what_pillow_can_save_and_read_is_read_as_pillow_reads_it(tmp_path: Path) -> None:
    fill(tmp_path, 3, "b")
    image, tried = Image.radial_gradient("L").convert("RGB").resize((64, 64)), set()
    Image.init()
    (tmp_path / "a").mkdir()
    for ending, kind in Image.registered_extensions().items():
        if (
            kind in Image.OPEN and kind in Image.SAVE and kind not in ("EPS", "IM")
        ):  # Ghostscript's; going to be removed
            path = tmp_path / "a" / f"x{ending}"
            try:
                image.convert("1" if kind in ("MSP", "XBM") else "RGB").save(path, kind)
                with Image.open(path) as saved:
                    saved.load()
            except (OSError, KeyError, ValueError):  # WMF, HDF5 and the like: other programs are needed
                path.unlink(missing_ok=True)
            else:
                tried.add(str(path))
    found = {sample.path for sample in find_images(tmp_path, Splitting(0, 0)).train}
    assert {".jfif", ".jpe", ".jp2", ".ppm", ".tga", ".avif"} <= {Path(path).suffix for path in tried}
    assert tried <= found
    for path in tried:
        with Image.open(path) as wanted:
            shown = wanted.convert("RGBA") if wanted.has_transparency_data else wanted.convert("RGB")
        assert abs(read_image(path).permute(1, 2, 0).numpy().astype(int) - shown.convert("RGB")).max() <= 2, path


def test_what_has_to_be_converted_is_named_with_the_remedy(tmp_path: Path) -> None:
    fill(tmp_path, 3, "a", "b")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"  # as ISO/IEC 23008-12 has it
    tiff = tmp_path / "thumbnail.tif"
    Image.new("RGB", (16, 12)).save(tiff)  # which is what Pillow sees of many a raw file
    content = {
        "1.heic": heic,
        "2.HEIF": heic,
        "3.nef": tiff.read_bytes(),
        "4.DNG": tiff.read_bytes(),
        "5.jxl": b"\xff\n",
    }
    for name, some in content.items():
        (tmp_path / "a" / name).write_bytes(some)
    paths = [sample.path for sample in find_images(tmp_path, Splitting(0, 0)).train if "00" not in sample.path]
    with pytest.raises(ValueError, match=r"data\.on_error=skip") as caught:
        check_images(paths, tmp_path)
    for name in content:
        (told,) = [text for text in str(caught.value).split("; ") if name in text]
        assert "can't be decoded" in told
        assert "convert it to JPEG, PNG or TIFF" in told


def latin1(root: Path, name: str) -> Path:
    return Path(os.fsdecode(os.fsencode(root) + b"/" + name.encode("latin-1")))


def test_names_that_are_not_utf8_are_named_byte_by_byte(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, 5, "a", "b")
    file = latin1(tmp_path / "a", "gr\xfcn.jpg")
    file.write_bytes(b"no image")
    found = find_images(tmp_path, Splitting(0, 0))
    assert str(file) in {sample.path for sample in found.train}
    with pytest.raises(ValueError, match=r"a/gr\\xfcn\.jpg can't be decoded"):
        check_images([str(file)], tmp_path)
    with caplog.at_level(logging.WARNING):
        check_images([str(file)], tmp_path, "skip")
    assert r"a/gr\xfcn.jpg can't be decoded" in caplog.text
    fill(latin1(tmp_path, "bl\xe5"), 5, "")
    with pytest.raises(ValueError, match=r"the name of bl\\xe5 isn't UTF-8: rename it"):
        find_images(tmp_path)
