"""Data sets of Hugging Face's Hub, or of a local folder, through the library `datasets`; none of their code is run."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ...errors import UserError
from ...images.stored import EncodedImage, read_stored, store_once
from ...images.table import SPLIT_NAMES, Row
from ...loading import reason
from .columns import choose_columns, class_name
from .versions import version_of_folder, version_on_hub

SPLITS = SPLIT_NAMES | {"dev": "val"}
EXTRA = "data=huggingface needs the library datasets: pip install -e .[huggingface]"

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
    meant = json.dumps([str(local.resolve()) if local.is_dir() else name, config, image_column, label_column])
    stem = f"{re.sub(r'[^a-zA-Z0-9_]+', '-', name).strip('-')}-{hashlib.sha256(meant.encode()).hexdigest()[:8]}"
    images_dir = Path(images_dir)
    try:
        version = version_of_folder(local) if local.is_dir() else version_on_hub(name)
    except ConnectionError as error:
        earlier = sorted(images_dir.glob(f"{stem}-*/"), key=lambda folder: folder.stat().st_mtime)
        if not earlier:
            raise UserError(f"the data set {name} can't be fetched, and was never before ({reason(error)})") from error
        log.warning(f"the Hub can't be reached ({reason(error)}): {name} is taken as it was fetched before")
        version = earlier[-1].name.removeprefix(f"{stem}-")
    folder = images_dir / f"{stem}-{version}"
    rows = read_stored(folder)
    if rows is not None:
        return rows
    parts = _parts(name, _load(local if local.is_dir() else name, config, version))
    images = _images(name, parts, image_column, label_column)
    return store_once(folder, images, sum(len(part) for part in parts.values()))


def _load(source: str | Path, config: str | None, version: str) -> Any:
    try:
        import datasets
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise UserError(EXTRA) from error
    datasets.logging.set_verbosity_error()
    if not Console(stderr=True).is_terminal:
        datasets.disable_progress_bars()
    try:
        if isinstance(source, Path):
            saved = (source / "dataset_dict.json").exists() or (source / "state.json").exists()
            return datasets.load_from_disk(source) if saved else datasets.load_dataset(str(source), config)
        return datasets.load_dataset(source, config, revision=version)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise UserError(f"the data set {source} can't be read: {' '.join(str(error).split())}") from error


def _parts(name: str, loaded: Any) -> Parts:
    """What was loaded, by split as we call them; the only split of a data set is none."""
    parts: dict[str, Any] = dict(loaded) if isinstance(loaded, Mapping) else {"train": loaded}
    if len(parts) == 1:
        return {None: next(iter(parts.values()))}
    found: dict[str | None, Any] = {}
    for key, part in parts.items():
        split = SPLITS.get(key.lower())
        if split in found:
            raise UserError(f"{name} has several {split} splits among {', '.join(parts)}: it must be one")
        if split:
            found[split] = part
    if "train" not in found:
        raise UserError(f"{name} has the splits {', '.join(parts)}, and none is called train (data.config)")
    if len(found) < len(parts):
        others = [key for key in parts if key.lower() not in SPLITS]
        log.info(f"{name} has other splits, too, which are left out: {', '.join(others)}")
    return found


def _images(name: str, parts: Parts, image_column: str | None, label_column: str | None) -> Iterator[EncodedImage]:
    """Every image, undecoded."""
    from datasets import Image

    left_out = 0
    for split, part in parts.items():
        image, label = choose_columns(name, part.features, image_column, label_column)
        feature = part.features[label]
        undecoded = part.with_format(None).select_columns([image, label]).cast_column(image, Image(decode=False))
        for record in undecoded:
            content, value = record[image], class_name(feature, record[label])
            if content is None or value is None:
                left_out += 1
            else:
                yield EncodedImage(content["bytes"] or _file(name, content["path"]), value, split)
    if left_out:
        log.warning(f"{left_out:,} rows of {name} have no image or no label, and are left out")


def _file(name: str, path: str) -> str:
    if not Path(path).is_file():
        raise UserError(f"{name} has an image that is neither in it nor a file here: {path}")
    return path
