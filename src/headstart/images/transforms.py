"""From an image of any size to the square that the backbone's weights ask for."""

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812 (the name everybody gives it)

from ..backbone import Preprocessing

MAX_ASPECT_RATIO = 4


class ResizeAndCrop:
    """Resize and centre-crop a uint8 image [3, height, width] to uint8 [3, crop, crop].

    Everything stays uint8: torchvision's antialiased resize is fastest there, and the batch that travels to
    the device is a quarter of the size. Normalisation belongs to the model.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.size = preprocessing.resize if isinstance(preprocessing.resize, tuple) else (preprocessing.resize,)
        self.crop = preprocessing.crop
        self.interpolation = InterpolationMode(preprocessing.interpolation)

    def __call__(self, image: Tensor) -> Tensor:
        """Do it for one image."""
        if len(self.size) == 1:
            image = _without_far_ends(image)
        image = F.resize(image, list(self.size), interpolation=self.interpolation, antialias=True)
        return F.center_crop(image, [self.crop, self.crop])


def _without_far_ends(image: Tensor) -> Tensor:
    """Cut off what the centre crop drops anyway, so that a strip of 20 x 20,000 pixels doesn't fill the memory."""
    height, width = image.shape[-2:]
    longest = MAX_ASPECT_RATIO * min(height, width)
    if max(height, width) <= longest:
        return image
    return F.center_crop(image, [min(height, longest), min(width, longest)])
