"""Opening torchvision's data sets: by name, split by split, downloaded whole or not at all."""

import inspect
import re
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock
from torchvision import datasets

from headstart.backbones.loading import reason
from headstart.data.whole import whole
from headstart.errors import did_you_mean

# Those of torchvision 0.29 whose pictures have one class each. Not by a rule, as none tells before the download.
KNOWN = (
    "CIFAR10", "CIFAR100", "CLEVRClassification", "Caltech101", "Caltech256", "Country211", "DTD", "EMNIST", "EuroSAT",
    "FER2013", "FGVCAircraft", "FashionMNIST", "Flowers102", "Food101", "GTSRB", "INaturalist", "ImageNet",
    "Imagenette", "KMNIST", "LFWPeople", "MNIST", "Omniglot", "OxfordIIITPet", "PCAM", "Places365", "QMNIST",
    "RenderedSST2", "SEMEION", "STL10", "SUN397", "SVHN", "StanfordCars", "USPS",
)  # fmt: skip
SCIPY = ("Caltech101", "Flowers102", "SVHN", "StanfordCars")
NEEDS = dict.fromkeys(SCIPY, ("scipy",)) | {"PCAM": ("h5py", "gdown")}
SPLITS = {"train": ("train", "trainval", "train-standard"), "val": ("val", "valid"), "test": ("test",)}
OURS = ("root", "download", "loader", "transform", "target_transform", "transforms")  # not for data.options
PROBLEMS = (OSError, RuntimeError, EOFError, HTTPException, ImportError, tarfile.TarError, zipfile.BadZipFile)
TIMEOUT = 60  # seconds without a byte

Splits = Mapping[str | None, Any]  # data sets by split; None where it has no splits


def open_splits(name: str, options: Mapping[str, Any], root: Path, download: bool) -> Splits:
    """Open every split that the data set has, in `root` or `root/<name>`, or download it to there.

    Raises:
        ValueError: the name or an option is unknown, an option or a package is missing, or the files are.
    """
    if name not in KNOWN:
        hint = did_you_mean(name, KNOWN)
        raise ValueError(f"torchvision has no data set {name!r} to classify; {hint}there are {', '.join(KNOWN)}")
    for package in NEEDS.get(name, ()):
        if find_spec(package) is None:
            raise ValueError(f"torchvision reads {name} with {package}: pip install {package}")
    kind = getattr(datasets, name)
    parameters = _parameters(kind)
    _check(name, options, parameters)
    open_in = partial(_open, kind, parameters, options)
    problem: Exception = FileNotFoundError(f"there is no folder {root}")
    for place in (root, *root.glob(f"{name}-*"), root / name):
        try:
            if place.is_dir():  # else some classes would make it, and leave it behind empty
                return open_in(place)
        except PROBLEMS as error:
            problem = error
    if not download or "download" not in parameters:
        way = "get its files by hand" if download else "get its files by hand, or with data.download=true"
        raise ValueError(f"{root} doesn't hold torchvision's {name}: {way} ({reason(problem)})")
    return _download(name, root / set_name(name, options), open_in)


def set_name(name: str, options: Mapping[str, Any]) -> str:
    """The name of a folder for the data set `name` with these options."""
    settings = [f"{key}={value}" for key, value in sorted(options.items())]
    return re.sub(r"[^\w.=-]+", "_", "-".join([name, *settings]))


def _check(name: str, options: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> None:
    known = [key for key in parameters if key not in OURS]
    for key in options.keys() - set(known):
        there = ", ".join(known) or "none"
        raise ValueError(f"{name} has no option {key} (data.options); {did_you_mean(key, known)}there are: {there}")
    for key in known:
        if parameters[key].default is inspect.Parameter.empty and key not in options:
            raise ValueError(f"torchvision's {name} comes in several kinds: choose one with +data.options.{key}=...")


def _download(name: str, final: Path, open_in: Callable[..., Splits]) -> Splits:
    """Download all of it or nothing: a kill while it is unpacked would leave what torchvision takes for all of it."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(final.with_name(f".{final.name}.lock")), _patience(), whole(final) as part:
            if not final.is_dir():
                open_in(part, download=True)
        return open_in(final)
    except (*PROBLEMS, ValueError) as error:  # a ValueError where there is no address any more
        where = f"delete {final}, or" if final.is_dir() else "try again, or"
        raise ValueError(
            f"torchvision's {name} can't be downloaded: {where} put its files into {final} by hand ({reason(error)})"
        ) from error


def _open(
    kind: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
    options: Mapping[str, Any],
    root: Path,
    download: bool = False,
) -> Splits:
    """All splits whose names torchvision knows, and that have pictures.

    CIFAR's files are pickles: torchvision reads them once their MD5 is the one that it knows.
    """
    more = {"loader": str} if "loader" in parameters else {}
    more |= {"download": download} if "download" in parameters else {}
    splits: dict[str | None, Any] = {}
    for split, arguments in _arguments(parameters, options):
        if split not in splits:
            try:
                dataset = kind(str(root), **arguments, **options, **more)
            except ValueError as error:
                if "for argument split" not in str(error):
                    raise
            else:
                splits |= {split: dataset} if len(dataset) else {}
    return splits


def _arguments(
    parameters: Mapping[str, inspect.Parameter], options: Mapping[str, Any]
) -> list[tuple[str | None, dict[str, Any]]]:
    """The splits, and what asks a constructor for each of them; of several ways, the first that it knows counts."""
    if "train" in parameters and "train" not in options:
        return [("train", {"train": True}), ("test", {"train": False})]
    if "split" in parameters and "split" not in options:
        return [(split, {"split": name}) for split, names in SPLITS.items() for name in names]
    return [(None, {})]


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    """What the constructor takes; behind `**kwargs` is what its base's does."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            own = dict(list(inspect.signature(base.__init__).parameters.items())[1:])  # all but self
            found = own | found
            if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own.values()):
                break
    return {name: parameter for name, parameter in found.items() if parameter.kind is not inspect.Parameter.VAR_KEYWORD}


@contextmanager
def _patience() -> Iterator[None]:
    """An end to waiting for a server that says nothing: by default, there is none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
