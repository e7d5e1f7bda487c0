"""Data sets of Hugging Face's Hub, or of a local folder, through the library `datasets`; none of their code is run."""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ...errors import UserError, did_you_mean
from ...files import manifest
from ...images.stored import EncodedImage, read_stored, store_once
from ...images.table import SPLIT_NAMES, Row
from ...weights_file import reason

LABELS = ("label", "labels", "class")  # what label columns are called
PLAIN = ("string", "large_string", "bool", "int", "uint")  # what a label's type begins with, if it is no ClassLabel
TIMEOUT = 20  # seconds to wait for the Hub

Parts = Mapping[str | None, Any]  # datasets.Dataset by split; None where it has no splits

log = logging.getLogger(__name__)


def read_huggingface(
    name: str,
    images_dir: str | Path,
    config: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> list[Row]:
    """The images of the Hub's data set `name`, or of a local folder that `datasets` reads or has saved.

    `config` is its subset. Encoded images are written as they are below `images_dir`, once for each version of the
    data set; those that are files already are used where they lie. Rows without an image or a label are left out.

    Raises:
        UserError: there is no such data set, it can't be fetched or read, `datasets` is missing, or it can't be told
            which columns and splits are meant.
    """
    local = Path(name).expanduser()
    source = local.resolve() if local.is_dir() else name
    meant = hashlib.sha256(repr((str(source), config, image_column, label_column)).encode()).hexdigest()
    stem = f"{re.sub(r'[^a-zA-Z0-9_]+', '-', name).strip('-')}-{meant[:8]}-"
    earlier = sorted(Path(images_dir).glob(f"{stem}*/"), key=lambda folder: folder.stat().st_mtime)
    version = _version(source, [folder.name.removeprefix(stem) for folder in earlier])
    folder = Path(images_dir) / f"{stem}{version}"
    rows = read_stored(folder)
    if rows is not None:
        return rows
    parts = _parts(name, _load(source, config, version))
    images = _images(name, parts, image_column, label_column)
    return store_once(folder, images, sum(map(len, parts.values())))


def _version(source: str | Path, earlier: list[str]) -> str:
    """The commit of a data set on the Hub, or the last of the `earlier` ones offline; of a folder, what is in it."""
    if isinstance(source, Path):
        return manifest(sorted(str(path) for path in source.rglob("*") if path.is_file()))[:16]
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:  # once: `datasets` asks for half a minute where there is no network
        return str(HfApi().dataset_info(source, timeout=TIMEOUT).sha)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"the Hub has no data set {source!r} for us, and there is no folder of this name "
            f"(data.name; `hf auth login` for private ones)"
        ) from error
    except Exception as error:  # the HTTP client differs between versions of the Hub's package
        if not earlier:
            raise UserError(
                f"the data set {source} can't be fetched, and was never before ({reason(error)})"
            ) from error
        log.warning(f"the Hub can't be reached ({reason(error)}): {source} is taken as it was fetched before")
        return earlier[-1]


def _load(source: str | Path, config: str | None, version: str) -> Any:
    try:
        import datasets
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise UserError("data=huggingface needs the library datasets: pip install -e .[huggingface]") from error
    datasets.logging.set_verbosity_error()
    if not Console(stderr=True).is_terminal:
        datasets.disable_progress_bars()
    try:
        if isinstance(source, str):
            return datasets.load_dataset(source, config, revision=version)
        saved = (source / "dataset_dict.json").exists() or (source / "state.json").exists()
        return datasets.load_from_disk(source) if saved else datasets.load_dataset(str(source), config)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise UserError(f"the data set {source} can't be read: {' '.join(str(error).split())}") from error


def _parts(name: str, loaded: Any) -> Parts:
    """What was loaded, by split as we call them; a data set with only one split has none."""
    parts: dict[str, Any] = dict(loaded) if isinstance(loaded, Mapping) else {"train": loaded}
    if len(parts) == 1:
        return {None: next(iter(parts.values()))}
    there = ", ".join(parts)
    found: dict[str | None, Any] = {}
    for key, part in parts.items():
        split = SPLIT_NAMES.get(key.lower())
        if split in found:
            raise UserError(f"{name} has several {split} splits among {there}: it must be one")
        if split:
            found[split] = part
    if "train" not in found:
        raise UserError(f"{name} has the splits {there}, and none is called train (data.config)")
    if len(found) < len(parts):
        log.info(f"of the splits {there} of {name}, {', '.join(map(str, found))} are used")
    return found


def _images(name: str, parts: Parts, image_column: str | None, label_column: str | None) -> Iterator[EncodedImage]:
    """Every image, undecoded; rows without an image or a label, as test sets of competitions have, are counted."""
    from datasets import ClassLabel, Image

    left_out = 0
    for split, part in parts.items():
        image, label = _columns(name, part.features, image_column, label_column)
        names = part.features[label].names if isinstance(part.features[label], ClassLabel) else None
        undecoded = part.with_format(None).select_columns([image, label]).cast_column(image, Image(decode=False))
        for record in undecoded:
            content, value = record[image], record[label]
            if content is None or value in (None, "") or (names and value < 0):
                left_out += 1
                continue
            encoded, path = content["bytes"], content["path"] or ""
            if not encoded and not Path(path).is_file():
                raise UserError(f"{name} has an image that is neither in it nor a file here: {path}")
            yield EncodedImage(encoded or path, names[value] if names else str(value), split)
    if left_out:
        log.warning(f"{left_out:,} rows of {name} have no image or no label, and are left out")


def _columns(
    name: str, features: Mapping[str, Any], image_column: str | None, label_column: str | None
) -> tuple[str, str]:
    """The columns of the images and of their labels.

    Images are the only column of the type Image, labels that of the type ClassLabel, of several the one that is
    called label, labels or class; or, where there is none, the column of words or whole numbers of such a name.
    """
    from datasets import ClassLabel, Image, Value

    images = [column for column, kind in features.items() if isinstance(kind, Image)]
    classes = [column for column, kind in features.items() if isinstance(kind, ClassLabel)]
    plain = [column for column, kind in features.items() if isinstance(kind, Value) and kind.dtype.startswith(PLAIN)]
    usual = [column for column in classes or plain if column.lower() in LABELS]
    return (
        _choose(name, "image_column", image_column, images, images),
        _choose(name, "label_column", label_column, usual or classes, [*classes, *plain]),
    )


def _choose(name: str, key: str, wanted: str | None, guessed: list[str], possible: list[str]) -> str:
    """The wanted column if it can be it, else the only guess."""
    if wanted in possible:
        return str(wanted)
    there = f"there are {', '.join(possible)}" if possible else "there is none of a type that it could have"
    if wanted is not None:
        raise UserError(f"{name} has no column {wanted} (data.{key}); {did_you_mean(wanted, possible)}{there}")
    if len(guessed) != 1:
        raise UserError(f"which column of {name} is it? Set data.{key}=...; {there}")
    return guessed[0]
