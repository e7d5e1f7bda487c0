"""Opening torchvision's data sets: by name, split by split, downloaded whole or not at all."""

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

from ...errors import UserError, did_you_mean
from ...files import atomic_folder
from ...loading import reason
from .constructors import Parameters, check_options, parameters_of, split_arguments

# Those of torchvision 0.29 whose images have one class each. Not by a rule, as none tells before the download.
KNOWN = (
    "CIFAR10", "CIFAR100", "CLEVRClassification", "Caltech101", "Caltech256", "Country211", "DTD", "EMNIST", "EuroSAT",
    "FER2013", "FGVCAircraft", "FashionMNIST", "Flowers102", "Food101", "GTSRB", "INaturalist", "ImageNet",
    "Imagenette", "KMNIST", "LFWPeople", "MNIST", "Omniglot", "OxfordIIITPet", "PCAM", "Places365", "QMNIST",
    "RenderedSST2", "SEMEION", "STL10", "SUN397", "SVHN", "StanfordCars", "USPS",
)  # fmt: skip
SCIPY = ("Caltech101", "Flowers102", "SVHN", "StanfordCars")
NEEDS = dict.fromkeys(SCIPY, ("scipy",)) | {"PCAM": ("h5py", "gdown")}
PROBLEMS = (OSError, RuntimeError, EOFError, HTTPException, ImportError, tarfile.TarError, zipfile.BadZipFile)
TIMEOUT = 60  # seconds without a byte

Splits = Mapping[str | None, Any]  # data sets by split; None where it has no splits


def open_splits(name: str, options: Mapping[str, Any], root: Path, download: bool) -> Splits:
    """Open every split that the data set has, in `root` or `root/<name>`, or download it to there.

    Raises:
        UserError: the name or an option is unknown, an option or a package is missing, or the files are.
    """
    if name not in KNOWN:
        hint = did_you_mean(name, KNOWN)
        raise UserError(f"torchvision has no data set {name!r} to classify; {hint}there are {', '.join(KNOWN)}")
    for package in NEEDS.get(name, ()):
        if find_spec(package) is None:
            raise UserError(f"torchvision reads {name} with {package}: pip install {package}")
    kind = getattr(datasets, name)
    parameters = parameters_of(kind)
    check_options(name, options, parameters)
    open_in = partial(_open, kind, parameters, options)
    problem: Exception = FileNotFoundError(f"there is no folder {root}")
    for place in (root, *root.glob(f"{name}-*"), root / name):
        try:
            if place.is_dir():  # else some classes would make it, and leave it behind empty
                return open_in(place)
        except PROBLEMS as error:
            problem = error
        except (ValueError, TypeError) as error:
            raise UserError(f"torchvision's {name} refuses data.options={dict(options)} ({reason(error)})") from error
    if not download or "download" not in parameters:
        way = "get its files by hand" if download else "get its files by hand, or with data.download=true"
        raise UserError(f"{root} doesn't hold torchvision's {name}: {way} ({reason(problem)})")
    return _download(name, root / set_name(name, options), open_in)


def set_name(name: str, options: Mapping[str, Any]) -> str:
    """The name of a folder for the data set `name` with these options."""
    settings = [f"{key}={value}" for key, value in sorted(options.items())]
    return re.sub(r"[^\w.=-]+", "_", "-".join([name, *settings]))


def _download(name: str, final: Path, open_in: Callable[..., Splits]) -> Splits:
    """Download all of it or nothing: a kill while it is unpacked would leave what torchvision takes for all of it."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(final.with_name(f".{final.name}.lock")), _patience(), atomic_folder(final) as part:
            if not final.is_dir():
                open_in(part, download=True)
        return open_in(final)
    except (*PROBLEMS, ValueError) as error:  # a ValueError where there is no address any more
        where = f"delete {final}, or" if final.is_dir() else "try again, or"
        raise UserError(
            f"torchvision's {name} can't be downloaded: {where} put its files into {final} by hand ({reason(error)})"
        ) from error


def _open(
    kind: Callable[..., Any],
    parameters: Parameters,
    options: Mapping[str, Any],
    root: Path,
    download: bool = False,
) -> Splits:
    """All splits whose names torchvision knows, and that have images.

    CIFAR's files are pickles: torchvision reads them once their MD5 is the one that it knows.
    """
    more = {"loader": str} if "loader" in parameters else {}
    more |= {"download": download} if "download" in parameters else {}
    splits: dict[str | None, Any] = {}
    for split, arguments in split_arguments(parameters, options):
        if split not in splits:
            try:
                dataset = kind(str(root), **arguments, **options, **more)
            except ValueError as error:
                if "split" not in arguments or "for argument split" not in str(error):
                    raise
            else:
                splits |= {split: dataset} if len(dataset) else {}
    return splits


@contextmanager
def _patience() -> Iterator[None]:
    """An end to waiting for a server that says nothing: by default, there is none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
