"""How a model bears images that are worse than those it was trained on: blurred, noisy, compressed, dark, turned."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812 (the name everybody gives it)

SIDE = 224  # pixels of a crop for which blur is meant; in a larger one it is wider, to look the same
GREY = 128.0  # where an image has turned away from

Shift = Callable[[Tensor, float], Tensor]


class Shifted(NamedTuple):
    """The accuracy on images that were shifted, and how it differs from that on the images as they are."""

    shift: str
    strength: str
    accuracy: float
    difference: float


def blur(images: Tensor, sigma: float) -> Tensor:
    """Blurred by a Gaussian of `sigma` pixels, in a crop of 224."""
    sigma *= images.shape[-1] / SIDE
    width = min(2 * round(3 * sigma) + 1, 2 * (images.shape[-1] // 2) - 1)  # reflected at the edges
    return F.gaussian_blur(images, [max(width, 1)] * 2, [sigma, sigma])


def noise(images: Tensor, deviation: float) -> Tensor:
    """With Gaussian noise, of a `deviation` of values from 0 to 255; the sum of an image's pixels is its seed."""
    seeds = [torch.Generator().manual_seed(int(image.sum())) for image in images]
    drawn = torch.stack([torch.randn(images.shape[1:], generator=seed) for seed in seeds])
    return (images + deviation * drawn).round().clamp(0, 255).to(torch.uint8)


def jpeg(images: Tensor, quality: float) -> Tensor:
    """Saved as JPEG and read again."""
    return torch.stack([F.jpeg(image, int(quality)) for image in images])


def brightness(images: Tensor, factor: float) -> Tensor:
    """Times a factor."""
    return F.adjust_brightness(images, factor)


def rotation(images: Tensor, degrees: float) -> Tensor:
    """Turned around the middle, on grey."""
    return F.rotate(images, degrees, InterpolationMode.BILINEAR, fill=[GREY] * 3)


SHIFTS: dict[str, tuple[Shift, str, Sequence[float]]] = {
    "blur": (blur, "sigma {:g}", (1, 2, 4)),
    "noise": (noise, "deviation {:g}", (10, 25, 50)),
    "JPEG": (jpeg, "quality {:g}", (50, 20, 8)),
    "brightness": (brightness, "times {:g}", (0.7, 0.4, 0.2)),
    "rotation": (rotation, "{:g} degrees", (10, 20, 45)),
}
NUMBER = 1 + sum(len(strengths) for _, _, strengths in SHIFTS.values())  # of passes, with that of the images themselves


def robustness(predict: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]]) -> list[Shifted]:
    """The accuracy with every shift, at three strengths each; first that without any.

    `predict` maps uint8 images [batch, 3, crop, crop] to scores [batch, classes]; `batches` are of such images and
    int64 labels [batch]. Nothing is random: the same images come to the same table, in batches of any size.
    """
    right, count = torch.zeros(NUMBER, dtype=torch.int64), 0
    for images, labels in batches:
        hits = [(predict(one).argmax(dim=1) == labels).sum() for one in _versions(images)]
        right += torch.stack(hits)
        count += len(labels)
    accuracy = (right.double() / max(count, 1)).tolist()
    names = [("none", ""), *((name, form.format(one)) for name, (_, form, some) in SHIFTS.items() for one in some)]
    return [Shifted(*name, value, value - accuracy[0]) for name, value in zip(names, accuracy, strict=True)]


def _versions(images: Tensor) -> Iterable[Tensor]:
    yield images
    for shift, _, strengths in SHIFTS.values():
        yield from (shift(images, strength) for strength in strengths)
