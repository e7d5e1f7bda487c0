"""Mixup and CutMix: training images that are two at once, with the labels of both."""

import torch
from torch import Tensor
from torchvision.transforms import v2


class Mixing:
    """Mixes each image of a batch with its neighbour, and its label alike; one share is drawn for the whole batch.

    Mixup blends them (Zhang et al. 2018, https://arxiv.org/abs/1710.09412), CutMix puts a rectangle of one into the
    other (Yun et al. 2019, https://arxiv.org/abs/1905.04899); where both have an alpha above 0, each batch draws
    one of the two, evenly. Draws from torch's global numbers.
    """

    def __init__(self, num_classes: int, mixup: float = 0.0, cutmix: float = 0.0) -> None:
        kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
        self.ways = [kind(alpha=float(alpha), num_classes=num_classes) for kind, alpha in kinds if alpha > 0]

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images [batch, 3, height, width] in uint8, with labels [batch] in int64.

        Returns mixed images of the same kind, and probabilities [batch, num_classes] in float32. Rounding moves no
        pixel by more than half a grey level, and a model tells images from features by their being uint8.
        """
        assert images.dtype == torch.uint8, "features from an earlier pass can't be mixed as images are"
        way = self.ways[int(torch.randint(len(self.ways), ()))]
        mixed, shares = way(images.float(), labels)
        return mixed.round_().to(torch.uint8), shares
