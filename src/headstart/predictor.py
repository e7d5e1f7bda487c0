"""Classes and probabilities for images, by a trained model: `headstart.load(RUN).predict("image.jpg")`."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .backbone import normalise
from .errors import UserError
from .features.engines import AUTO, check_engine, fastest, other_engine
from .features.fast_network import fold_batchnorms
from .images.checks import MAX_PIXELS
from .images.decoder_output import decode_each
from .images.decoding import BrokenImageError, decode_pil, read_image
from .images.loading import threads
from .images.transforms import ResizeAndCrop
from .machine import best_precision
from .runs import find_run

AnyImage = str | Path | Image.Image | NDArray[np.uint8] | Tensor
BATCH_SIZE = 64
FLOAT32 = "32-true"
FEATURES = Path("data/features")  # where train.py remembers which engine is the fastest, unless told otherwise
MODEL = "headstart.model"  # the entry point in pyproject.toml that says which class loads a checkpoint


class Read(NamedTuple):
    """A file's probabilities, float32 [classes], or why it has none."""

    path: str
    probabilities: Tensor | None
    error: str = ""


class Predictor:
    """What a trained model says about images.

    `model` maps uint8 images [batch, 3, crop, crop] to logits [batch, classes], and has `classes`, `preprocessing` and
    `backbone`, as the project's Classifier does. It is changed, to go the same fast way as in training: on the best
    device there is, BatchNorms folded, in bf16 where the hardware computes in it, unless `precision` is "32-true".
    `temperature` divides the logits. `engine` is as in conf/train.yaml, and is for many files, by `each`.
    """

    def __init__(self, model: Any, precision: str = "auto", temperature: float = 1.0, engine: str = AUTO) -> None:
        check_engine(engine)
        self.model, self.temperature = model.eval().cpu(), temperature
        self.classes, self.preprocessing = tuple(model.classes), model.preprocessing
        self.device = best_device()
        self.precision = FLOAT32 if precision == FLOAT32 else best_precision(self.device.type)
        self.engine = other_engine(engine, self.device, self.precision)  # until it was tried
        network = fold_batchnorms(model.backbone, self.preprocessing.example())
        model.backbone = network.to(memory_format=torch.channels_last)
        model.to(self.device)
        self._prepare = ResizeAndCrop(self.preprocessing)
        self.shortest = self._prepare.shortest  # pixels that the shorter side of a file's image needs to have

    def predict(self, images: AnyImage | Iterable[AnyImage]) -> list[tuple[str, float]]:
        """The likeliest class of each image, and its probability: a list of pairs, even for one image.

        An image is a file's path, a PIL image, or uint8: an array [height, width, 3] (or [height, width] of grey), a
        tensor [3, height, width]; all in RGB and of any size. Give one, or a list (or anything else to go through) of
        them, or a batch: an array [images, height, width, 3] or a tensor [images, 3, height, width]. Files and PIL
        images are turned upright as their EXIF says.

        Raises UserError for what is no image, a broken file's path included; `each` goes on with the others.

        >>> import headstart
        >>> predictor = headstart.load("logs/runs/2026-11-23_14-25-42")
        >>> predictor.predict("1.jpg")
        [('circle', 0.98)]
        >>> from PIL import Image
        >>> image = Image.open("2.jpg")
        >>> predictor.predict(["1.jpg", image])
        [('circle', 0.98), ('star', 0.71)]
        >>> import numpy as np
        >>> array = np.asarray(image)
        >>> array.shape, array.dtype
        ((96, 96, 3), dtype('uint8'))
        >>> predictor.predict(np.stack([array, array]))
        [('star', 0.71), ('star', 0.71)]
        >>> import torch
        >>> tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
        >>> predictor.predict(tensor)
        [('star', 0.71)]

        All probabilities, for uint8 images of the model's own size:

        >>> images = torch.stack([predictor.read("1.jpg"), predictor.read(image)])
        >>> predictor.probabilities(images).shape == (2, len(predictor.classes))
        True
        """
        found: list[tuple[str, float]] = []
        for some in parts(as_images(images), BATCH_SIZE):
            best = self.probabilities(torch.stack(list(threads().map(self.read, some)))).max(dim=1)
            found += [(self.classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
        return found

    def read(self, image: AnyImage) -> Tensor:
        """An image as the model wants it, uint8 [3, crop, crop]; raises UserError for what is none."""
        return self._prepare(as_tensor(image, self.shortest))

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Of each class, float32 [batch, classes] on the CPU, for uint8 images [batch, 3, crop, crop]."""
        bf16 = self.precision != FLOAT32
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            logits = self.model(images.to(self.device, non_blocking=True))
        return (logits.float() / self.temperature).softmax(dim=1).cpu()

    def each(self, paths: Sequence[str], max_pixels: int = MAX_PIXELS, batch_size: int = BATCH_SIZE) -> Iterator[Read]:
        """What comes of every file, in order; a broken one has an `error`, and the others go on.

        As before a training, damage that a decoder only warns of is damage: what other threads print to stderr
        meanwhile would be taken for such a warning.
        """
        read = partial(self._try_to_read, max_pixels=max_pixels)
        for some in parts(paths, batch_size):
            outcomes = [
                f"{path} can't be decoded ({warning})" if warning else outcome
                for path, (outcome, warning) in zip(some, decode_each(read, some, threads().map), strict=True)
            ]
            whole = [outcome for outcome in outcomes if isinstance(outcome, Tensor)]
            found = iter(self._by_fastest(torch.stack(whole), len(paths)) if whole else ())
            for path, outcome in zip(some, outcomes, strict=True):
                yield Read(path, next(found)) if isinstance(outcome, Tensor) else Read(path, None, outcome)

    def _by_fastest(self, images: Tensor, count: int) -> Tensor:
        """`probabilities`, by the engine that is the fastest for `count` images, as for the feature cache."""
        if self.engine and (count > len(images) or self.engine.forced):
            engine, self.engine = self.engine, None  # tried once
            first = partial(normalise, images, *self.preprocessing.mean_and_std())
            network, example = self.model.backbone, self.preprocessing.example()
            self.model.backbone = fastest(engine, network, example, first, count, FEATURES) or network
        return self.probabilities(images)

    def _try_to_read(self, path: str, max_pixels: int) -> Tensor | str:
        try:
            return self._prepare(read_image(path, max_pixels, self.shortest))
        except BrokenImageError as error:
            return str(error)


def load(run: str | Path = "latest") -> Predictor:
    """A predictor of the model in `run`: a run's folder, a sweep's (its best run), a checkpoint, or "latest".

    Needs nothing but that and this installation: class names, preprocessing and backbone come with it. Raises UserError
    where there is no such model, or one that isn't safe to load.
    """
    found = find_run(run)
    return Predictor(load_classifier(found.checkpoint), found.precision)


def load_classifier(checkpoint: str | Path) -> Any:
    """The classifier in a checkpoint, by the owner's own class, as pyproject.toml names it; raises UserError."""
    named = entry_points(group=MODEL)
    if not named:
        raise UserError(f"the installation of this project is older than {MODEL} in pyproject.toml: pip install -e .")
    return next(iter(named)).load().load_from_checkpoint(checkpoint)


def parts(items: Any, size: int) -> Iterator[Any]:
    """A sequence, or an array, in parts of `size`."""
    return (items[first : first + size] for first in range(0, len(items), size))


def best_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def as_images(images: AnyImage | Iterable[AnyImage]) -> Sequence[AnyImage]:
    """One image, or all that there are, in a sequence."""
    if isinstance(images, np.ndarray | Tensor):
        return images if images.ndim == 4 else [images]  # pyright: ignore[reportReturnType] (it is as good as one)
    return [*images] if isinstance(images, Iterable) and not isinstance(images, str | bytes) else [images]


def as_tensor(image: AnyImage, shortest: int | None = None) -> Tensor:
    """An image as uint8 [3, height, width], upright if it is a file or of PIL; raises UserError for what is none.

    A JPEG file comes smaller, as `read_image` does it, if its shorter side has `shortest` pixels then.
    """
    if isinstance(image, str | Path):
        return read_image(image, MAX_PIXELS, shortest)
    if isinstance(image, Image.Image):
        return decode_pil(image, MAX_PIXELS)
    is_array = isinstance(image, np.ndarray)
    if not isinstance(image, np.ndarray | Tensor) or image.dtype not in (np.uint8, torch.uint8):
        kind = getattr(image, "dtype", type(image).__name__)
        raise UserError(f"an image is a path, a PIL image, or uint8 in an array or a tensor, and not {kind}")
    tensor = torch.from_numpy(np.require(image, requirements=["C", "W"])) if is_array else image.cpu()
    if is_array and tensor.ndim == 2:
        tensor = tensor.expand(3, -1, -1)
    elif is_array and tensor.ndim == 3:
        tensor = tensor.permute(2, 0, 1)
    if tensor.ndim != 3 or len(tensor) != 3 or 0 in tensor.shape:
        wanted = "an array [height, width, 3]" if is_array else "a tensor [3, height, width]"
        raise UserError(f"{wanted} is expected, and this one is {list(image.shape)}")
    return tensor
