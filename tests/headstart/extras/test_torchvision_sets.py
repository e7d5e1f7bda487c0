"""data=torchvision: on files that lie as torchvision's downloads leave them; nothing is downloaded."""

import pickle
import sys
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image
from runs import composed
from torchvision import datasets

from headstart.errors import UserError
from headstart.extras.torchvision_sets import SETS, read_torchvision
from headstart.images.decoding import read_image
from headstart.images.splits import Splitting
from headstart.images.table import ImageTable, image_table

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def packages(monkeypatch: Patch) -> None:
    """SciPy and h5py are no dependencies of ours; nothing here needs more of them than to be there."""
    for name in ("scipy", "scipy.io", "h5py"):
        module = ModuleType(name)
        module.__spec__ = SimpleNamespace()  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setitem(sys.modules, name, module)


def found(name: str, root: Path, options: dict[str, Any] | None = None) -> ImageTable:
    rows = read_torchvision(name, options or {}, root, root / "written", download=False)
    return image_table(rows, Splitting(0.2, 0.2), name)


def counts(table: ImageTable) -> list[int]:
    return [len(table.train), len(table.val), len(table.test)]


def names(table: ImageTable, split: str) -> set[tuple[str, str]]:
    """The file name and the class of every sample."""
    return {(Path(sample.path).name, table.classes[sample.label]) for sample in getattr(table, split)}


def touch(path: Path) -> None:
    """A file that is no image, so that nobody can decode it unnoticed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def oxford_iiit_pet(root: Path, _: Patch) -> None:
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    for split, count in (("trainval", 10), ("test", 4)):
        ids = [f"{name}_{split}{i}" for name in ("Abyssinian", "yorkshire_terrier") for i in range(count)]
        for one in ids:
            touch(base / "images" / f"{one}.jpg")
        lines = [f"{one} {2 if one.startswith('y') else 1} 1 1" for one in ids]
        (base / "annotations" / f"{split}.txt").write_text("\n".join(lines) + "\n")


def gtsrb(root: Path, _: Patch) -> None:
    base = root / "gtsrb"
    for i in range(20):
        touch(base / "GTSRB" / "Training" / f"{i % 2:05d}" / f"{i}.ppm")
    lines = [f"{i}.ppm;{i % 2}" for i in range(6)]
    for line in lines:
        touch(base / "GTSRB" / "Final_Test" / "Images" / line.split(";")[0])
    (base / "GT-final_test.csv").write_text("\n".join(["Filename;ClassId", *lines]))


def eurosat(root: Path, _: Patch) -> None:
    for name in ("River", "Forest"):
        for i in range(10):
            touch(root / "eurosat" / "2750" / name / f"{name}_{i}.jpg")


def dtd(root: Path, _: Patch) -> None:
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for partition in (1, 2):
        for first, split, count in ((0, "train", 5), (5, "val", 3), (8, "test", 2)):
            lines = [f"{name}/{name}_{partition}{first + i}.jpg" for name in ("woven", "dotted") for i in range(count)]
            for line in lines:
                touch(base / "images" / line)
            (base / "labels" / f"{split}{partition}.txt").write_text("\n".join(lines) + "\n")


def caltech(root: Path, _: Patch) -> None:
    for name in ("BACKGROUND_Google", "ant", "wild_cat"):
        folder = root / "caltech101" / "101_ObjectCategories" / name
        folder.mkdir(parents=True)
        for i in range(1, 11):
            Image.new("L", (1, 1)).save(folder / f"image_{i:04d}.jpg")


def cifar10(root: Path, monkeypatch: Patch) -> None:
    """Each image has one grey value: its number in its file."""
    kind, folder = datasets.CIFAR10, root / datasets.CIFAR10.base_folder

    def write(file: str, content: Any) -> str:
        folder.mkdir(exist_ok=True)
        (folder / file).write_bytes(pickle.dumps(content))
        return md5((folder / file).read_bytes()).hexdigest()

    def batch(count: int) -> dict[str, Any]:
        pixels = np.arange(count, dtype=np.uint8)[:, None].repeat(3072, axis=1)
        return {"data": pixels, "labels": [i % 2 for i in range(count)]}

    train = [[f"data_batch_{i}", write(f"data_batch_{i}", batch(4))] for i in range(1, 6)]
    monkeypatch.setattr(kind, "train_list", train)
    monkeypatch.setattr(kind, "test_list", [["test_batch", write("test_batch", batch(6))]])
    checksum = write("batches.meta", {"label_names": ["truck", "apple"]})
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": checksum})


class Fake(list):
    """A data set that is the list of its images and targets."""


MADE: dict[str, tuple[Callable[[Path, Patch], None], tuple[str, ...], list[int]]] = {
    # who makes the files, the classes, and how many images train, val and test have
    "OxfordIIITPet": (oxford_iiit_pet, ("Abyssinian", "Yorkshire Terrier"), [16, 4, 8]),
    "GTSRB": (gtsrb, ("0", "1"), [16, 4, 6]),
    "EuroSAT": (eurosat, ("Forest", "River"), [12, 4, 4]),
    "DTD": (dtd, ("dotted", "woven"), [10, 6, 4]),
    "Caltech101": (caltech, ("ant", "wild_cat"), [12, 4, 4]),
    "CIFAR10": (cifar10, ("apple", "truck"), [16, 4, 6]),
}


@pytest.mark.parametrize("name", MADE)
def test_classes_and_official_splits(name: str, tmp_path: Path, monkeypatch: Patch) -> None:
    make, classes, expected = MADE[name]
    make(tmp_path, monkeypatch)
    table = found(name, tmp_path)
    assert table.classes == classes
    assert counts(table) == expected
    assert all(Path(sample.path).is_file() for sample in (*table.train, *table.val, *table.test))
    assert (tmp_path / "written").exists() == (name == "CIFAR10")  # files are used where they lie


def test_labels_and_splits_stay_with_their_files_whatever_the_options(tmp_path: Path, monkeypatch: Patch) -> None:
    dtd(tmp_path, monkeypatch)
    for partition in (1, 2):
        table = found("DTD", tmp_path, {"partition": partition})
        for split, numbers in (("train", range(5)), ("val", range(5, 8)), ("test", range(8, 10))):
            files = [(f"{name}_{partition}{i}.jpg", name) for name in ("woven", "dotted") for i in numbers]
            assert names(table, split) == set(files)


def test_an_option_may_choose_the_split(tmp_path: Path, monkeypatch: Patch) -> None:
    cifar10(tmp_path, monkeypatch)
    assert counts(found("CIFAR10", tmp_path, {"train": True})) == [12, 4, 4]
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(datasets, "QMNIST", lambda _, **arguments: asked.append(arguments) or Fake())
    with pytest.raises(UserError, match="QMNIST has no images"):
        found("QMNIST", tmp_path, {"what": "test50k"})
    assert asked == [{"what": "test50k", "download": False}]


@pytest.mark.parametrize(("name", "split"), [(name, split) for name in SETS for split in SETS[name][1]])
def test_torchvision_knows_every_split_that_it_is_asked_for(
    name: str, split: str, tmp_path: Path, monkeypatch: Patch
) -> None:
    argument, values = SETS[name]
    monkeypatch.setitem(SETS, name, (argument, {split: values[split]}))
    with pytest.raises(UserError, match=f"doesn't hold torchvision's {name}"):  # and not: can't open it
        found(name, tmp_path, {"split": "letters"} if name == "EMNIST" else {})


def test_arrays_become_png_once_pixel_by_pixel(tmp_path: Path, monkeypatch: Patch) -> None:
    cifar10(tmp_path, monkeypatch)
    first = found("CIFAR10", tmp_path)
    values = {int(read_image(path).unique()): first.classes[label] for path, label in first.test}
    assert values == {i: ("truck", "apple")[i % 2] for i in range(6)}
    with monkeypatch.context() as patch:
        patch.setattr(datasets.CIFAR10, "__init__", None)  # not needed any more
        assert found("CIFAR10", tmp_path) == first
    assert len(list((tmp_path / "written" / "torchvision-CIFAR10").rglob("*.png"))) == 26
    Path(first.train[3].path).unlink()
    assert found("CIFAR10", tmp_path) == first
    assert Path(first.train[3].path).is_file()  # written again


def test_half_of_the_arrays_is_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    cifar10(tmp_path, monkeypatch)
    save, saved = Image.Image.save, []

    def full_disk(self: Image.Image, *arguments: Any) -> None:
        saved.append(self)
        if len(saved) > 10:
            raise OSError(28, "No space left on device")
        save(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full_disk)
        with pytest.raises(UserError, match=r"torchvision-CIFAR10 can't be written \(No space left on device\)"):
            found("CIFAR10", tmp_path)
    assert not [path for path in (tmp_path / "written").rglob("*") if path.suffix != ".lock"]
    assert counts(found("CIFAR10", tmp_path)) == [16, 4, 6]


def test_a_download_is_whole_or_not_there(tmp_path: Path, monkeypatch: Patch) -> None:
    def download(self: Any) -> None:
        touch(Path(self.root) / "eurosat" / "2750" / "River" / "0.jpg")
        if broken:
            raise ConnectionResetError("the cable is out")
        eurosat(Path(self.root), monkeypatch)

    root = tmp_path / "root"
    monkeypatch.setattr(datasets.EuroSAT, "download", download)
    broken = True
    with pytest.raises(UserError, match=r"EuroSAT can't be downloaded: try again.*the cable is out") as caught:
        read_torchvision("EuroSAT", {}, root, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(root.rglob("*.jpg"))
    broken = False
    rows = read_torchvision("EuroSAT", {}, root, tmp_path)
    assert len(rows) == 21
    monkeypatch.delattr(datasets.EuroSAT, "download")
    assert read_torchvision("EuroSAT", {}, root, tmp_path, download=False) == rows


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("OxfordPet", {}, r"no data set 'OxfordPet' to classify; did you mean OxfordIIITPet\? there are CIFAR10, "),
        ("CocoDetection", {}, "no data set 'CocoDetection' to classify"),
        ("Food101", {}, r"doesn't hold torchvision's Food101: get its files by hand, or with data\.download=true"),
        ("ImageNet", {}, r"doesn't hold torchvision's ImageNet: get its files by hand \("),
        (
            "DTD",
            {"partion": 1},
            r"can't open DTD with data\.options=\{'partion': 1\} \(TypeError: .*argument 'partion'",
        ),
        ("EMNIST", {}, r"can't open EMNIST with data\.options=\{\} \(TypeError: .* argument: 'split'"),
        ("EMNIST", {"split": "leters"}, r"data\.options=\{'split': 'leters'\} \(ValueError: Unknown value 'leters'"),
    ],
)
def test_mistakes_are_named_in_one_line(name: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        found(name, tmp_path, options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr("headstart.extras.torchvision_sets.find_spec", lambda _: None)
    with pytest.raises(UserError, match="torchvision reads SVHN with scipy: pip install scipy"):
        found("SVHN", tmp_path)


def test_images_without_a_single_class_are_refused(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(datasets, "Omniglot", lambda *_, **__: Fake([(None, (3, 4))]))
    with pytest.raises(UserError, match=r"Omniglot has no single class for each image: \(3, 4\)"):
        found("Omniglot", tmp_path)


def test_the_config_reaches_it(tmp_path: Path, monkeypatch: Patch) -> None:
    cifar10(tmp_path, monkeypatch)
    choices = ("data.name=CIFAR10", f"data.root={tmp_path}", "data.download=false", "+data.options.train=false")
    data = instantiate(composed("data=torchvision", *choices, f"data_dir={tmp_path}/data").data)
    data.setup()
    assert len(list((tmp_path / "data" / "images" / "torchvision-CIFAR10-train=False").rglob("*.png"))) == 6
