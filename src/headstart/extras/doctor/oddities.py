"""Images that are unlike all others, or that a network sees little of: by neighbours, colour, size and shape."""

from collections.abc import Callable

from torch import Tensor

from ...images.looks import Look
from .examined import Examined
from .findings import Finding

FAR = 3.5  # robust deviations from the median: Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers"
OF_NORMAL = 1.4826  # the deviation of normal values, in median absolute deviations
SMALL = 4  # sides that are so many times shorter than what the backbone looks at
LONG = 3.0  # of a side, in shorter ones: a crop to a square leaves a third
USUAL = 0.5  # share of images from which on something is what this set is like


def outliers(images: Examined, cosines: Tensor) -> list[Finding]:
    """Images far from their nearest neighbours, whose cosines [images, k] are given; the farthest first.

    The distance is the mean of the Euclidean ones, for directions of length one: Ramaswamy et al. 2000, "Efficient
    Algorithms for Mining Outliers from Large Data Sets".
    """
    if len(cosines) < 3:
        return []
    distances = neighbour_distances(cosines)
    median = distances.median()
    deviation = OF_NORMAL * (distances - median).abs().median().clamp_min(1e-6)
    far = ((distances - median) / deviation > FAR).nonzero()[:, 0].tolist()
    rows = sorted(far, key=lambda row: -float(distances[row]))
    return [_finding(images, row, "outlier", float(distances[row] / median.clamp_min(1e-6))) for row in rows]


def neighbour_distances(cosines: Tensor) -> Tensor:
    """The mean distance of each image from its nearest neighbours [images]."""
    return (2 - 2 * cosines).clamp_min(0).sqrt().mean(dim=1)


def odd_looks(images: Examined) -> tuple[list[Finding], list[str]]:
    """Images that are damaged, nearly one colour, tiny or long; and, in words, what most images are.

    What most of them are is no finding about single ones: CIFAR's are all tiny.
    """
    found = [
        Finding(sample.path, split, "damaged", images.classes[sample.label])
        for split, samples in images.damaged.items()
        for sample in samples
    ]
    looks = [(row, images.checked.looks[path]) for row, path in enumerate(images.paths) if path in images.checked.looks]
    usual = []
    for kind, words, score in (
        ("blank", "nearly one colour", lambda look: look.deviation if look.is_blank else None),
        ("tiny", f"smaller than a quarter of the {images.crop} pixels that the backbone looks at", _tiny(images.crop)),
        ("shape", "more than three times as long as wide", _shape),
    ):
        odd = [(row, value) for row, look in looks if (value := score(look)) is not None]
        if len(odd) > USUAL * len(looks):
            usual.append(f"{len(odd):,} of {len(looks):,} images are {words}")
            continue
        odd.sort(key=lambda pair: -pair[1] if kind == "shape" else pair[1])
        found += [_finding(images, row, kind, value) for row, value in odd]
    return found, usual


def _tiny(crop: int) -> Callable[[Look], float | None]:
    def score(look: Look) -> float | None:
        side = min(look.width, look.height)
        return side if side * SMALL < crop else None

    return score


def _shape(look: Look) -> float | None:
    ratio = max(look.width, look.height) / min(look.width, look.height)
    return ratio if ratio > LONG else None


def _finding(images: Examined, row: int, kind: str, score: float) -> Finding:
    return Finding(images.paths[row], images.splits[row], kind, images.label(row), "", score)
