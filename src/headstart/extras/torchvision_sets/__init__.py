"""torchvision's data sets for classification, with their own splits, downloaded whole or not at all."""

import operator
import re
import socket
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException
from importlib.util import find_spec
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock
from torchvision import datasets

from ...errors import UserError, did_you_mean
from ...files import atomic_folder
from ...images.stored import EncodedImage, read_stored, store_once
from ...images.table import Row
from ...weights_file import reason

# The sets of torchvision 0.29 whose images have one class each, by the argument that asks for a split, and its values.
# The test images of CLEVR and Places365 have no labels.
BY_SPLITS: tuple[tuple[str | None, dict[str | None, Any], str], ...] = (
    ("train", {"train": True, "test": False}, "CIFAR10 CIFAR100 EMNIST FashionMNIST KMNIST MNIST QMNIST USPS"),
    ("split", {"train": "train", "test": "test"}, "FER2013 Food101 GTSRB LFWPeople STL10 SVHN StanfordCars"),
    ("split", {"train": "trainval", "test": "test"}, "OxfordIIITPet"),
    ("split", {"train": "train", "val": "val"}, "CLEVRClassification ImageNet Imagenette"),
    ("split", {"train": "train-standard", "val": "val"}, "Places365"),
    ("split", {"train": "train", "val": "val", "test": "test"}, "DTD FGVCAircraft Flowers102 PCAM RenderedSST2"),
    ("split", {"train": "train", "val": "valid", "test": "test"}, "Country211"),
    (None, {None: None}, "Caltech101 Caltech256 EuroSAT INaturalist Omniglot SEMEION SUN397"),
)
SETS = {name: (argument, values) for argument, values, names in BY_SPLITS for name in names.split()}
BY_HAND = ("FER2013", "ImageNet", "LFWPeople", "StanfordCars")  # torchvision doesn't download them any more
NEEDS = dict.fromkeys(("Caltech101", "Flowers102", "SVHN", "StanfordCars"), "scipy") | {"PCAM": "h5py"}
PROBLEMS = (OSError, RuntimeError, EOFError, HTTPException, ImportError, tarfile.TarError, zipfile.BadZipFile)
TIMEOUT = 60  # seconds without a byte of a download
OTHER_TARGETS = {"target_type", "target_types"}  # options that choose other labels than those that have names
NAMES = ("classes", "categories", "all_categories")  # what the sets call their class names

Splits = Mapping[str | None, Any]  # torchvision's data sets by split; None where it has no splits


def read_torchvision(
    name: str, options: Mapping[str, Any], root: str | Path, images_dir: str | Path, download: bool = True
) -> list[Row]:
    """The images of `torchvision.datasets.<name>`, whose files are looked for in `root` and `root/<name>`.

    `options` go to its constructor (`partition=2`). Images that are files are used where they lie; those that come
    as arrays (CIFAR, MNIST, SVHN, STL10) are written below `images_dir` as PNG, once.

    Raises:
        UserError: an unknown name or option, a package that is missing, files that are neither there nor to be
            downloaded, or images that don't have one class each.
    """
    folder = Path(images_dir) / f"torchvision-{_folder_name(name, options)}"
    rows = read_stored(folder)
    if rows is not None:
        return rows
    splits = _find_or_download(name, options, Path(root).expanduser(), download)
    images = _images(name, splits, named=not options.keys() & OTHER_TARGETS)
    first = next(images, None)
    if first is None:
        raise UserError(f"torchvision's {name} has no images with labels below {root}")
    images = chain([first], images)
    if isinstance(first.content, str):
        return [Row(str(path), label, split) for path, label, split in images]
    return store_once(folder, images, sum(map(len, splits.values())))


def _find_or_download(name: str, options: Mapping[str, Any], root: Path, download: bool) -> Splits:
    if name not in SETS:
        known = sorted(SETS)
        hint = did_you_mean(name, known)
        raise UserError(f"torchvision has no data set {name!r} to classify; {hint}there are {', '.join(known)}")
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        raise UserError(f"torchvision reads {name} with {NEEDS[name]}: pip install {NEEDS[name]}")
    problem: Exception = FileNotFoundError(f"there is no folder {root}")
    for place in (root, *sorted(root.glob(f"{name}*"))):
        try:
            if place.is_dir():  # else some classes would make it, and leave it behind empty
                return _open(name, options, place)
        except PROBLEMS as error:
            problem = error
    if not download or name in BY_HAND:
        way = "get its files by hand" if name in BY_HAND else "get its files by hand, or with data.download=true"
        raise UserError(f"{root} doesn't hold torchvision's {name}: {way} ({reason(problem)})")
    return _download(name, options, root / _folder_name(name, options))


def _folder_name(name: str, options: Mapping[str, Any]) -> str:
    settings = [f"{key}={value}" for key, value in sorted(options.items())]
    return re.sub(r"[^\w.=-]+", "_", "-".join([name, *settings]))


def _download(name: str, options: Mapping[str, Any], final: Path) -> Splits:
    """Download all of it or nothing: a kill while it is unpacked would leave what torchvision takes for all of it."""
    socket.setdefaulttimeout(TIMEOUT)  # by default there is no end to waiting for a server that says nothing
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(final.with_name(f".{final.name}.lock")):
            if not final.is_dir():
                with atomic_folder(final) as part:
                    _open(name, options, part, download=True)
        return _open(name, options, final)
    except PROBLEMS as error:
        where = f"delete {final}, or" if final.is_dir() else "try again, or"
        raise UserError(
            f"torchvision's {name} can't be downloaded: {where} put its files into {final} by hand ({reason(error)})"
        ) from error
    finally:
        socket.setdefaulttimeout(None)


def _open(name: str, options: Mapping[str, Any], root: Path, download: bool = False) -> Splits:
    """All splits; or the one that an option chooses, as if there were no others.

    CIFAR's files are pickles: torchvision reads them once their MD5 is the one that it knows.
    """
    argument, values = SETS[name]
    if options.keys() & {argument, "what"}:  # as QMNIST calls it
        argument, values = None, {None: None}
    chosen = {split: {argument: value} if argument else {} for split, value in values.items()}
    more = {} if name in BY_HAND else {"download": download}  # SEMEION would, by default
    kind = getattr(datasets, name)
    try:
        return {split: kind(str(root), **arguments, **options, **more) for split, arguments in chosen.items()}
    except (TypeError, ValueError) as error:
        raise UserError(f"torchvision can't open {name} with data.options={dict(options)} ({reason(error)})") from error


def _images(name: str, splits: Splits, named: bool) -> Iterator[EncodedImage]:
    """Every image that has a label: the name of its class, or its number unless classes are `named`."""
    for split, dataset in splits.items():
        names = _class_names(dataset) if named else []
        for image, target in _samples(name, dataset, named):
            try:
                number = -1 if target is None else operator.index(target)
            except TypeError:
                message = f"torchvision's {name} has no single class for each image: {target!r} (data.options)"
                raise UserError(message) from None
            if number >= 0:
                yield EncodedImage(_content(image), names[number] if number < len(names) else str(number), split)


def _samples(name: str, dataset: Any, named: bool) -> Iterable[tuple[Any, Any]]:
    """Images, or the paths of their files where the data set tells them without decoding, and their targets."""
    if name == "OxfordIIITPet" and named:
        return zip(dataset._images, dataset._labels, strict=True)
    if name == "GTSRB":
        return dataset._samples
    for attribute in vars(dataset).keys() & {"loader", "_loader"}:
        setattr(dataset, attribute, str)  # of a path, to have it instead of the image
    return (dataset[i] for i in range(len(dataset)))


def _content(image: Any) -> bytes | str:
    """The path of an image that is a file, else the image as PNG."""
    if isinstance(image, str | Path):
        return str(image)
    if path := getattr(image, "filename", ""):  # of Caltech101 and Caltech256: opened, but not decoded yet
        image.close()
        return path
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _class_names(dataset: Any) -> list[str]:
    """Its class names in label order, if it has some; of several words for a class, all."""
    found = next((list(names) for name in NAMES if (names := getattr(dataset, name, None))), [])
    if not found and hasattr(dataset, "class_to_idx"):
        found = sorted(dataset.class_to_idx, key=dataset.class_to_idx.__getitem__)
    names = [name if isinstance(name, str) else ", ".join(name) for name in found]
    counts = Counter(names)  # both the bird and the machine are a "crane" of ImageNet
    return [name if counts[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]
