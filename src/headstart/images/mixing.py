"""Two images of a batch mixed into one, and their labels alike."""

import torch
from torch import Tensor
from torchvision.transforms import v2


class Mixing:
    """Mix each image of a batch with its neighbour, and their labels alike, in one proportion for the whole batch.

    Mixup blends them (Zhang et al. 2018, https://arxiv.org/abs/1710.09412), CutMix puts a rectangle of one into the
    other (Yun et al. 2019, https://arxiv.org/abs/1905.04899); where both have an alpha above 0, each batch draws
    one of the two, evenly. Draws torch's random numbers.
    """

    def __init__(self, num_classes: int, mixup: float = 0.0, cutmix: float = 0.0) -> None:
        kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
        self.kinds = [kind(alpha=float(alpha), num_classes=num_classes) for kind, alpha in kinds if alpha > 0]

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images [batch, 3, height, width] in uint8, with labels [batch] in int64.

        Returns mixed images of the same kind, and probabilities [batch, num_classes] in float32. Rounding moves no
        pixel by more than half a grey level, and a model tells images from features by their being uint8.
        """
        assert images.dtype == torch.uint8, "features from an earlier pass can't be mixed as images are"
        mix = self.kinds[int(torch.randint(len(self.kinds), ()))]
        mixed, probabilities = mix(images.float(), labels)
        return mixed.round_().to(torch.uint8), probabilities
