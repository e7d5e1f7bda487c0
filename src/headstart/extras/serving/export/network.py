"""A trained classifier as one network from raw uint8 images to probabilities, as PyTorch exports it."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)

from ....backbone import Preprocessing, normalise
from ....features.fast_network import fold_batchnorms
from ....images.transforms import MAX_ASPECT_RATIO
from ..plain import flat, merged

Size = Any  # an int, or what stands for one while a network is exported


class Probabilities(nn.Module):
    """Probabilities float32 [batch, classes] for uint8 images [batch, 3, crop, crop]; normalisation is inside.

    The network is the model's own: adapters merged, BatchNorms folded, without gradients, on the CPU.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone = fold_batchnorms(merged(model.backbone), model.preprocessing.example())
        self.head = flat(model.head)
        for name, value in zip(("mean", "std"), model.preprocessing.mean_and_std(), strict=True):
            self.register_buffer(name, value)
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise and classify."""
        return self.head(self.backbone(normalise(images, self.mean, self.std)).float()).softmax(dim=1)


class OfAnySize(nn.Module):
    """The same for uint8 images [batch, 3, height, width] of any size, resized and cropped as for training.

    It says what `ResizeAndCrop` does in whole numbers, whose results torch.export can leave open until an image comes.
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network, self.preprocessing = network, preprocessing

    def forward(self, images: Tensor) -> Tensor:
        """Resize, crop, normalise and classify."""
        resize, crop = self.preprocessing.resize, self.preprocessing.crop
        height, width = images.shape[-2:]
        size: list[Size] = []
        if isinstance(resize, int):
            short = torch.sym_min(height, width)
            height, width = (torch.sym_min(side, MAX_ASPECT_RATIO * short) for side in (height, width))
            images = _centre(_centre(images, 2, height), 3, width)
            size = [height * resize // short, width * resize // short]
        else:
            size = list(resize)
        images = F.interpolate(images, size, mode=self.preprocessing.interpolation, antialias=True)
        return self.network(_centre(_centre(images, 2, crop), 3, crop))


def can_resize(preprocessing: Preprocessing) -> bool:
    """Whether `OfAnySize` says all that such a preprocessing does."""
    sides = [preprocessing.resize] if isinstance(preprocessing.resize, int) else preprocessing.resize
    return preprocessing.interpolation in ("bilinear", "bicubic") and min(sides) >= preprocessing.crop


def _centre(images: Tensor, dim: int, length: Size) -> Tensor:
    """The middle of a dimension. By index, as a slice that may be all of it would fix what is left open."""
    left = images.shape[dim] - length
    first = (left + left // 2 % 2) // 2  # rounds halves to even numbers, as torchvision does
    return images.index_select(dim, torch.arange(length, device=images.device) + first)


def program_of(network: nn.Module, example: Tensor, open_dims: tuple[int, ...]) -> torch.export.ExportedProgram:
    """What torch.export makes of a network of `images`, some dimensions of which may have any size.

    Without where each operation's Python lies, which are folders of this machine and its user, and without the example.
    """
    names = [*inspect.signature(network.forward).parameters]
    dims = {names[0]: dict.fromkeys(open_dims, torch.export.Dim.DYNAMIC)}
    program = torch.export.export(network, (example,), dynamic_shapes=dims)
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    program.example_inputs = None
    return program
