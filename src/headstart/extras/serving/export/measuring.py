"""What an exported file makes of images beside the model that it was made of, and how fast."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....backbone import normalise
from ....images.loading import threads
from ....predictor import AnyImage, Predictor, as_tensor, parts
from .loaded import Loaded

MOST_DIFFERENT = 1e-3  # of probabilities, in float32
BATCHES = (1, 7)  # the first ones; BATCH images follow together
BATCH = 32
ROUNDS, SECONDS = 3, 0.5  # of timing, in turns with PyTorch
RANDOM_SIZES = ((1, 1), (2, 3), (5, 2), (1, 5))  # height and width, in parts of the crop


class Measured(NamedTuple):
    """The largest difference of probabilities, the accuracy if labels are known, and images per second.

    `beside` are those of the model itself in PyTorch, BatchNorms folded, in float32, measured in turns.
    """

    difference: float
    accuracy: float | None
    rate: float
    beside: float


class Reference:
    """A trained model in float32, its probabilities for images (files, say), and their labels if they are known."""

    def __init__(self, predictor: Predictor, images: Sequence[AnyImage], labels: NDArray[np.int64] | None) -> None:
        self.predictor, self.images, self.labels = predictor, images, labels
        cropped = (torch.stack(list(threads().map(predictor.read, some))) for some in split(images))
        self.probabilities = np.concatenate([predictor.probabilities(some).numpy() for some in cropped])

    @property
    def accuracy(self) -> float | None:
        """Of the model itself."""
        return accuracy(self.probabilities, self.labels)

    def measure(self, loaded: Loaded, takes: str, tell: Callable[[int], None]) -> Measured:
        """Compare a file that `takes` floats, cropped or raw images; `tell` is told how many are done each time."""
        found: list[NDArray[Any]] = []
        for some in split(self.images):
            found += [loaded.predict(batch) for batch in self.batches(some, takes)]
            tell(len(some))
        probabilities = np.concatenate(found)
        if takes == "floats":
            probabilities = torch.from_numpy(probabilities).softmax(dim=1).numpy()
        different = np.abs(probabilities - self.probabilities).max()
        right = accuracy(probabilities, self.labels)
        difference = float(different) if np.isfinite(probabilities).all() else float("inf")
        return Measured(difference, right, *self._rates(loaded, takes))

    def batches(self, images: Sequence[AnyImage], takes: str) -> Iterator[NDArray[Any]]:
        """Images as a file takes them; raw ones together where their sizes are the same."""
        if takes == "raw":
            decoded = list(threads().map(as_tensor, images))
            for _, same in groupby(decoded, key=lambda image: image.shape):
                yield torch.stack(list(same)).numpy()
            return
        yield self._as_taken(torch.stack(list(threads().map(self.predictor.read, images))), takes)

    def _as_taken(self, cropped: Tensor, takes: str) -> NDArray[Any]:
        if takes != "floats":
            return cropped.numpy()
        return normalise(cropped, *self.predictor.preprocessing.mean_and_std()).numpy()

    def _rates(self, loaded: Loaded, takes: str) -> tuple[float, float]:
        from .runtime import rate

        some = [self.images[i % len(self.images)] for i in range(BATCH)]
        cropped = torch.stack(list(threads().map(self.predictor.read, some)))
        taken = self._as_taken(cropped, takes)
        loaded.predict(taken)
        pairs = [
            (
                loaded.rate(taken, SECONDS),
                rate(lambda: self.predictor.probabilities(cropped), BATCH, SECONDS),
            )
            for _ in range(ROUNDS)
        ]
        files, beside = zip(*pairs, strict=True)
        return median(files), median(beside)


def accuracy(probabilities: NDArray[Any], labels: NDArray[np.int64] | None) -> float | None:
    """The fraction that is right; None without labels."""
    return None if labels is None else float((probabilities.argmax(axis=1) == labels).mean())


def split(images: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Batches of several sizes, so that each is tried."""
    first = 0
    for size in BATCHES:
        if images[first : first + size]:
            yield images[first : first + size]
        first += size
    yield from parts(images[first:], BATCH)


def random_images(crop: int) -> list[Tensor]:
    """Where there are no others: uint8 [3, height, width] of several sizes."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(height * crop // 2 + 16, width * crop // 2 + 16) for height, width in RANDOM_SIZES for _ in range(3)]
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator) for size in sizes]
