"""From samples as they lie in shards to images of the size that the backbone wants."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from zlib import crc32

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from ...backbone import Preprocessing
from ...images.augmentation import Augment
from ...images.dataset import threads
from ...images.decoding import BrokenImageError, decode_image
from ...images.random_view import RandomView
from ...images.transforms import ResizeAndCrop
from .tar import Packed


class Unpack:
    """Turns a packed sample into an image uint8 [3, crop, crop]; the text of what is wrong with a broken one.

    With `draw`, it is one of its looks by `augment`, which these numbers and the sample's name decide.

    Raises:
        BrokenImageError: the image is broken, and `on_error` is `raise`.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        max_pixels: int,
        on_error: str,
        augment: Augment,
        draw: Sequence[int] | None = None,
    ) -> None:
        self.max_pixels, self.on_error, self.draw = max_pixels, on_error, draw
        self.plain, self.augmented = ResizeAndCrop(preprocessing), RandomView(preprocessing, augment)

    def __call__(self, sample: Packed) -> Tensor | str:
        """Do it for one sample."""
        try:
            image = decode_image(sample.content, sample.name, self.max_pixels)
        except BrokenImageError as error:
            if self.on_error == "raise":
                raise BrokenImageError(f"{error}: replace it, or leave it out: data.on_error=skip") from error
            return str(error)
        if self.draw is None:
            return self.plain(image)
        return self.augmented(image, [*self.draw, crc32(sample.lasting_name.encode())])

    def batches(self, samples: Iterable[Packed], size: int) -> Iterator[tuple[Tensor, list[Packed], list[str]]]:
        """Images [batch, 3, crop, crop], the samples that they are from, and what is wrong with the broken ones.

        In a DataLoader's worker one after the other, in the main process on all cores.
        """
        samples = iter(samples)
        while chunk := list(islice(samples, size)):
            outcomes = list((map if get_worker_info() else threads().map)(self, chunk))
            pairs = list(zip(outcomes, chunk, strict=True))
            images = [image for image in outcomes if isinstance(image, Tensor)]
            kept = [sample for image, sample in pairs if isinstance(image, Tensor)]
            broken = [problem for problem in outcomes if isinstance(problem, str)]
            yield torch.stack(images) if images else torch.empty(0, dtype=torch.uint8), kept, broken
