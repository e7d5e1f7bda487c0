"""data=torchvision: on files that lie as torchvision's downloads leave them; nothing is downloaded."""

import json
import pickle
import struct
import sys
import types
from collections import Counter
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image
from runs import composed
from torchvision import datasets

from headstart.extras.torchvision_sets.rows import read_torchvision
from headstart.extras.torchvision_sets.splits import KNOWN
from headstart.images.decoding import read_image
from headstart.images.splits import Splitting
from headstart.images.table import ImageTable, image_table

Patch = pytest.MonkeyPatch


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


def oxford_iiit_pet(root: Path, monkeypatch: Patch) -> None:
    del monkeypatch
    base = root / "oxford-iiit-pet"
    for split, count in (("trainval", 10), ("test", 4)):
        ids = [f"{name}_{split}{i}" for name in ("Abyssinian", "yorkshire_terrier") for i in range(count)]
        for one in ids:
            touch(base / "images" / f"{one}.jpg")
        (base / "annotations").mkdir(exist_ok=True)
        lines = [f"{one} {2 if one.startswith('y') else 1} 1 1" for one in ids]
        (base / "annotations" / f"{split}.txt").write_text("\n".join(lines) + "\n")


def flowers(root: Path, monkeypatch: Patch) -> None:
    base = root / "flowers-102"
    for i in range(1, 21):
        touch(base / "jpg" / f"image_{i:05d}.jpg")
    mat(base / "imagelabels.mat", labels=np.arange(20) % 2 + 1)
    mat(base / "setid.mat", trnid=np.arange(1, 11), valid=np.arange(11, 15), tstid=np.arange(15, 21))
    files = {key: (name, checksum(base / name)) for key, name in (("label", "imagelabels.mat"), ("setid", "setid.mat"))}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", datasets.Flowers102._file_dict | files)
    read_mat_files(monkeypatch)


def svhn(root: Path, monkeypatch: Patch) -> None:
    files = {}
    for split, count in (("train", 20), ("test", 6)):
        labels = np.arange(count)[:, None] % 2 * 9 + 1
        mat(root / f"{split}_32x32.mat", X=np.full((32, 32, 3, count), 7, np.uint8), y=labels)
        files[split] = ["", f"{split}_32x32.mat", checksum(root / f"{split}_32x32.mat")]
    monkeypatch.setattr(datasets.SVHN, "split_list", files)
    read_mat_files(monkeypatch)


def mat(path: Path, **arrays: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_mat_files(monkeypatch: Patch) -> None:
    """SciPy is no dependency of ours; all that torchvision wants of it is a dict of arrays from a file."""
    io = types.ModuleType("scipy.io")
    io.loadmat = lambda path, **_: dict(np.load(path))  # pyright: ignore[reportAttributeAccessIssue]
    scipy = types.ModuleType("scipy")
    scipy.__spec__ = types.SimpleNamespace()  # pyright: ignore[reportAttributeAccessIssue]
    scipy.io = io  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "scipy", scipy)
    monkeypatch.setitem(sys.modules, "scipy.io", io)


def checksum(path: Path) -> str:
    return md5(path.read_bytes()).hexdigest()


def food(root: Path, monkeypatch: Patch) -> None:
    del monkeypatch
    for split, numbers in (("train", range(10)), ("test", range(10, 14))):
        listed = {name: [f"{name}/{i}" for i in numbers] for name in ("waffles", "apple_pie")}
        (root / "food-101" / "meta").mkdir(parents=True, exist_ok=True)
        (root / "food-101" / "meta" / f"{split}.json").write_text(json.dumps(listed))
        for path in (*listed["waffles"], *listed["apple_pie"]):
            touch(root / "food-101" / "images" / f"{path}.jpg")


def eurosat(root: Path, monkeypatch: Patch) -> None:
    del monkeypatch
    for name in ("River", "Forest"):
        for i in range(10):
            touch(root / "eurosat" / "2750" / name / f"{name}_{i}.jpg")


def dtd(root: Path, monkeypatch: Patch) -> None:
    del monkeypatch
    for partition in (1, 2):
        for first, split, count in ((0, "train", 5), (5, "val", 3), (8, "test", 2)):
            lines = [f"{name}/{name}_{partition}{first + i}.jpg" for name in ("woven", "dotted") for i in range(count)]
            for line in lines:
                touch(root / "dtd" / "dtd" / "images" / line)
            (root / "dtd" / "dtd" / "labels").mkdir(exist_ok=True)
            (root / "dtd" / "dtd" / "labels" / f"{split}{partition}.txt").write_text("\n".join(lines) + "\n")


def caltech(root: Path, monkeypatch: Patch) -> None:
    read_mat_files(monkeypatch)
    for name in ("BACKGROUND_Google", "ant", "wild_cat"):
        for i in range(1, 11):
            touch(root / "caltech101" / "101_ObjectCategories" / name / f"image_{i:04d}.jpg")


def cifar(name: str, labels: str, meta: str, files: dict[str, int]) -> Callable[[Path, Patch], None]:
    def make(root: Path, monkeypatch: Patch) -> None:
        kind = getattr(datasets, name)
        folder = root / kind.base_folder
        folder.mkdir()
        for file, count in files.items():
            pixels = np.arange(count, dtype=np.uint8)[:, None].repeat(3072, axis=1)
            (folder / file).write_bytes(pickle.dumps({"data": pixels, labels: [i % 2 for i in range(count)]}))
        (folder / kind.meta["filename"]).write_bytes(pickle.dumps({meta: ["truck", "apple"]}))
        for part in ("train_list", "test_list"):
            own = [[file, checksum(folder / file)] for file, _ in getattr(kind, part)]
            monkeypatch.setattr(kind, part, own)
        monkeypatch.setattr(kind, "meta", kind.meta | {"md5": checksum(folder / kind.meta["filename"])})

    return make


def fashion_mnist(root: Path, monkeypatch: Patch) -> None:
    del monkeypatch
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 20), ("t10k", 6)):
        pixels = bytes(np.arange(count, dtype=np.uint8).repeat(28 * 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, count, 28, 28) + pixels)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, count) + bytes([0, 9] * (count // 2)))


TEN = cifar("CIFAR10", "labels", "label_names", {f"data_batch_{i}": 4 for i in range(1, 6)} | {"test_batch": 6})
HUNDRED = cifar("CIFAR100", "fine_labels", "fine_label_names", {"train": 20, "test": 6})
SETS = {  # who makes the files, the classes, and how many images train, val and test have
    "OxfordIIITPet": (oxford_iiit_pet, ("Abyssinian", "Yorkshire Terrier"), [16, 4, 8]),
    "Flowers102": (flowers, ("hard-leaved pocket orchid", "pink primrose"), [10, 4, 6]),
    "Food101": (food, ("apple_pie", "waffles"), [16, 4, 8]),
    "EuroSAT": (eurosat, ("Forest", "River"), [12, 4, 4]),
    "DTD": (dtd, ("dotted", "woven"), [10, 6, 4]),
    "Caltech101": (caltech, ("ant", "wild_cat"), [12, 4, 4]),
    "CIFAR10": (TEN, ("apple", "truck"), [16, 4, 6]),
    "CIFAR100": (HUNDRED, ("apple", "truck"), [16, 4, 6]),
    "FashionMNIST": (fashion_mnist, ("Ankle boot", "T-shirt/top"), [16, 4, 6]),
    "SVHN": (svhn, ("0", "1"), [16, 4, 6]),
}
ARRAYS = ("CIFAR10", "CIFAR100", "FashionMNIST", "SVHN")


@pytest.mark.parametrize("name", SETS)
def test_classes_and_official_splits(name: str, tmp_path: Path, monkeypatch: Patch) -> None:
    make, classes, expected = SETS[name]
    make(tmp_path, monkeypatch)
    table = found(name, tmp_path)
    assert table.classes == classes
    assert counts(table) == expected
    assert all(Path(sample.path).is_file() for sample in (*table.train, *table.val, *table.test))
    assert (tmp_path / "written").exists() == (name in ARRAYS)  # files are used where they lie
    assert Image.open.__module__ == "PIL.Image"


def test_labels_stay_with_their_files(tmp_path: Path, monkeypatch: Patch) -> None:
    flowers(tmp_path, monkeypatch)
    expected = {(f"image_{i:05d}.jpg", ("hard-leaved pocket orchid", "pink primrose")[i % 2]) for i in range(1, 21)}
    table = found("Flowers102", tmp_path)
    assert names(table, "train") | names(table, "val") | names(table, "test") == expected
    assert {int(name[6:11]) for name, _ in names(table, "val")} == set(range(11, 15))


def test_options_go_to_the_constructor(tmp_path: Path, monkeypatch: Patch) -> None:
    dtd(tmp_path, monkeypatch)
    first, second = (found("DTD", tmp_path, {"partition": number}) for number in (1, 2))
    assert counts(first) == counts(second)
    assert not names(first, "train") & names(second, "train")
    with pytest.raises(ValueError, match=r"DTD has no option partion \(data\.options\); did you mean partition\?"):
        found("DTD", tmp_path, {"partion": 1})
    with pytest.raises(
        ValueError, match=r"EMNIST comes in several kinds: choose one with \+data\.options\.split=\.\.\."
    ):
        found("EMNIST", tmp_path)
    with pytest.raises(ValueError, match=r"refuses data\.options=\{'split': 'leters'\} \(ValueError: Unknown value"):
        found("EMNIST", tmp_path, {"split": "leters"})


def test_arrays_become_png_once_pixel_by_pixel(tmp_path: Path, monkeypatch: Patch) -> None:
    TEN(tmp_path, monkeypatch)
    first = found("CIFAR10", tmp_path)
    values = Counter(int(read_image(sample.path).unique()) for sample in first.test)  # one grey value an image
    assert values == Counter(range(6))
    by_value = {int(read_image(path)[0, 0, 0]): label for path, label in first.test}
    assert {value: first.classes[label] for value, label in by_value.items()} == {
        i: ("truck", "apple")[i % 2] for i in range(6)
    }
    monkeypatch.setattr(datasets.CIFAR10, "__init__", None)  # not needed any more
    assert found("CIFAR10", tmp_path) == first
    written = tmp_path / "written" / "torchvision-CIFAR10"
    assert len(list(written.rglob("*.png"))) == 26


def test_arrays_are_written_again_when_one_is_gone(tmp_path: Path, monkeypatch: Patch) -> None:
    TEN(tmp_path, monkeypatch)
    first = found("CIFAR10", tmp_path)
    Path(first.train[3].path).unlink()
    assert found("CIFAR10", tmp_path) == first
    assert Path(first.train[3].path).is_file()


def test_half_of_the_arrays_is_nothing(tmp_path: Path, monkeypatch: Patch) -> None:
    TEN(tmp_path, monkeypatch)
    save, saved = Image.Image.save, []

    def full_disk(self: Image.Image, *arguments: Any) -> None:
        saved.append(self)
        if len(saved) > 10:
            raise OSError(28, "No space left on device")
        save(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full_disk)
        with pytest.raises(ValueError, match=r"torchvision-CIFAR10 can't be written \(No space left on device\)"):
            found("CIFAR10", tmp_path)
    assert not [path for path in (tmp_path / "written").rglob("*") if path.suffix != ".lock"]
    assert counts(found("CIFAR10", tmp_path)) == [16, 4, 6]


def test_a_download_is_whole_or_not_there(tmp_path: Path, monkeypatch: Patch) -> None:
    def download(self: Any) -> None:
        for i in range(5):
            touch(Path(self.root) / "eurosat" / "2750" / "River" / f"{i}.jpg")
        if broken:
            raise ConnectionResetError("the cable is out")
        eurosat(Path(self.root), monkeypatch)

    monkeypatch.setattr(datasets.EuroSAT, "download", download)
    broken = True
    with pytest.raises(ValueError, match=r"EuroSAT can't be downloaded: try again.*the cable is out") as caught:
        read_torchvision("EuroSAT", {}, tmp_path / "root", tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "root").rglob("*.jpg"))
    broken = False
    rows = read_torchvision("EuroSAT", {}, tmp_path / "root", tmp_path)
    assert len(rows) == 25
    monkeypatch.delattr(datasets.EuroSAT, "download")
    assert read_torchvision("EuroSAT", {}, tmp_path / "root", tmp_path, download=False) == rows


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("OxfordPet", r"no data set 'OxfordPet' to classify; did you mean OxfordIIITPet\? there are CIFAR10, "),
        ("CocoDetection", "no data set 'CocoDetection' to classify"),
        ("Food101", r"doesn't hold torchvision's Food101: get its files by hand, or with data\.download=true"),
        ("SVHN", "torchvision reads SVHN with scipy: pip install scipy"),
    ],
)
def test_mistakes_are_named_in_one_line(name: str, message: str, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr("headstart.extras.torchvision_sets.splits.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=message) as caught:
        found(name, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_all_that_are_said_to_be_known_are_there() -> None:
    assert all(issubclass(getattr(datasets, name), datasets.VisionDataset) for name in KNOWN)
    assert set(SETS) <= set(KNOWN)


def test_the_config_says_all_of_it(tmp_path: Path, monkeypatch: Patch) -> None:
    HUNDRED(tmp_path, monkeypatch)
    folders = (f"data.root={tmp_path}", f"data_dir={tmp_path}/data", "data.val_fraction=0.5")
    data = instantiate(composed("data=torchvision", *folders, "data.name=CIFAR100").data)
    data.setup()
    assert counts(data.table) == [10, 10, 6]
    assert Path(data.table.test[0].path).is_relative_to(tmp_path / "data" / "images")
    options = ("+data.options.partition=2", "data.download=false", "data.name=DTD")
    with pytest.raises(ValueError, match="doesn't hold torchvision's DTD"):
        instantiate(composed("data=torchvision", *folders, *options).data).setup()
