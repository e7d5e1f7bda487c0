"""torchvision's own data sets, with their own splits and download, whatever their constructors call them."""

import operator
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Self

from PIL import Image

from ...errors import UserError
from ...images.stored import EncodedImage, read_stored, store_once
from ...images.table import Row
from .splits import Splits, open_splits, set_name

NAMES = ("classes", "categories", "all_categories")  # what data sets call their class names
TARGETS = {"target_type", "target_types"}


def read_torchvision(
    name: str, options: Mapping[str, Any], root: str | Path, images_dir: str | Path, download: bool = True
) -> list[Row]:
    """The images of `torchvision.datasets.<name>`, which is looked for in `root` and `root/<name>`.

    `options` go to its constructor (`partition=2`). Images that are files are used where they lie; those that come
    as arrays (CIFAR, MNIST, SVHN, STL10) are written below `images_dir` as PNG, once. A split without labels is none.

    Raises:
        UserError: an unknown name or option, a package that is missing, files that are neither there nor to be
            downloaded, or images that don't have one class each.
    """
    folder = Path(images_dir) / f"torchvision-{set_name(name, options)}"
    rows = read_stored(folder)
    if rows is not None:
        return rows
    splits = open_splits(name, options, Path(root).expanduser(), download)
    if not splits:
        raise UserError(f"torchvision's {name} has no images below {root}")
    named = not options.keys() & TARGETS  # the class names are those of the usual targets
    with _unopened():
        first = next(iter(splits.values()))[0][0]
        images = _images(name, splits, named)
        if isinstance(first, str):
            return [Row(str(content), label, split) for content, label, split in images]
        return store_once(folder, images, sum(len(dataset) for dataset in splits.values()))


def _images(name: str, splits: Splits, named: bool) -> Iterator[EncodedImage]:
    for split, dataset in splits.items():
        names = _class_names(dataset) if named else []
        for i in range(len(dataset)):
            image, target = dataset[i]
            number = _class_number(name, target)
            if number is not None:
                label = names[number] if number < len(names) else str(number)
                yield EncodedImage(image if isinstance(image, str) else _png(image), label, split)


def _class_number(name: str, target: Any) -> int | None:
    """A label as a number; None for an image without one."""
    try:
        number = -1 if target is None else operator.index(target)
    except TypeError:
        raise UserError(f"torchvision's {name} has no single class for each image: {target!r} (data.options)") from None
    return None if number < 0 else number


def _class_names(dataset: Any) -> Sequence[str]:
    """Its class names in label order, if it has some; of several words for a class, all."""
    found = next((list(names) for name in NAMES if (names := getattr(dataset, name, None))), [])
    if not found and hasattr(dataset, "class_to_idx"):
        found = sorted(dataset.class_to_idx, key=dataset.class_to_idx.__getitem__)
    names = [name if isinstance(name, str) else ", ".join(name) for name in found]
    counts = Counter(names)  # both the bird and the machine are a "crane" of ImageNet
    return [name if counts[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class _File(str):
    """An image's path, where a data set wants to open and convert the image."""

    def __new__(cls, source: Any, *_: Any, **__: Any) -> Self:
        return super().__new__(cls, os.fspath(source) if isinstance(source, str | os.PathLike) else source.name)

    def convert(self, _mode: str) -> Self:
        """As an image would be: this one stays what it is."""
        return self


@contextmanager
def _unopened() -> Iterator[None]:
    """Inside, Pillow opens no image but gives its path back, so that a data set tells it without decoding.

    Most of torchvision's classes take a `loader` that could do so; OxfordIIITPet, GTSRB, Caltech101 and others don't.
    """
    genuine = Image.open
    Image.open = _File  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        Image.open = genuine
