"""Small copies of large training images: decoded once as they are, and from then on in a fraction of the time."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from simplejpeg import decode_jpeg, encode_jpeg
from torch import Tensor, from_numpy
from torchvision.transforms.v2 import functional as F  # noqa: N812 (the name everybody gives it)

from .decoding import read_image
from .looks import Look

LARGE = 2  # times the pixels of the shorter side that training can use; others gain too little
QUALITY = 95
FORMAT = 1  # raise it whenever a copy comes to hold other pixels
ENDING, PART = ".jpg", ".part"

log = logging.getLogger(__name__)


class ShrunkImages:
    """Reads images as `read_image` does, but those that are large from copies whose shorter side is `shortest` pixels.

    `looks` says how large they are. A copy is made when its image is first read, and written below `folder`; where it
    can't be written, it is made again each time: whatever happens to the files, the pixels are the same.
    """

    def __init__(self, looks: Mapping[str, Look], shortest: int, folder: str | Path) -> None:
        self.shortest, self.folder = shortest, Path(folder)
        self.large = {path for path, look in looks.items() if min(look.width, look.height) >= LARGE * shortest}
        versions = [f"{name} {version(name)}" for name in ("simplejpeg", "torchvision", "pillow")]
        self._how = " ".join([str(FORMAT), str(QUALITY), str(shortest), *versions])
        self._writes = True

    def read(self, path: str) -> Tensor:
        """An image as uint8 [3, height, width]; raises BrokenImageError as `read_image` does."""
        if path not in self.large:
            return read_image(path, shortest=self.shortest)
        copy = self.copy_of(path)
        with suppress(OSError, ValueError):  # there is none, or a damaged one
            content = copy.read_bytes()
            os.utime(copy)  # so `prune` knows what is in use
            return _decode(content)
        content = _shrink(read_image(path, shortest=self.shortest), self.shortest)
        self._write(copy, content)
        return _decode(content)

    def copy_of(self, path: str) -> Path:
        """Where the small copy of an image is, or will be: another one whenever its size or time of change is."""
        status = os.stat(path)  # noqa: PTH116 (a fifth of the time)
        of = f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns} {self._how}"  # noqa: PTH100
        return self.folder / f"{hashlib.sha256(os.fsencode(of)).hexdigest()[:32]}{ENDING}"

    def _write(self, copy: Path, content: bytes) -> None:
        """Write it whole or not at all. Thousands are written: what a power cut spoils is found when it is read."""
        if not self._writes:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, part = tempfile.mkstemp(PART, dir=self.folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(part).replace(copy)
        except OSError as error:
            self._writes = False
            log.warning(f"{self.folder} can't be written ({error.strerror}): large images are shrunk in every epoch")


def shrunk_images(
    paths: Iterable[str], looks: Mapping[str, Look], shortest: int, folder: str | Path
) -> ShrunkImages | None:
    """What reads the large ones of these images from small copies; None where none is. A line says how many are."""
    looks = {path: looks[path] for path in paths if path in looks}
    images = ShrunkImages(looks, shortest, folder)
    if not images.large:
        return None
    log.info(
        f"data.shrink: {len(images.large):,} of {len(looks):,} training images have {LARGE} times the pixels "
        f"a side that training uses, or more; small copies of them are kept in {folder}"
    )
    return images


def _shrink(image: Tensor, shortest: int) -> bytes:
    small = F.resize(image, [shortest], antialias=True)
    return encode_jpeg(np.ascontiguousarray(small.permute(1, 2, 0).numpy()), QUALITY, "RGB", "444")


def _decode(content: bytes) -> Tensor:
    return from_numpy(decode_jpeg(content, "RGB", strict=True)).permute(2, 0, 1)
