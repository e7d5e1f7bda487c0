"""What every backbone is: a network that turns normalised images into features, and how it wants them."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Preprocessing:
    """How a backbone's weights want their images; it always comes from the weights, never from a config.

    `resize` is the length of the shorter side in pixels, or (height, width) where the weights ask for a
    squashed image; `crop` is the side of the centre crop that follows. `mean` and `std` are per channel,
    for pixels in [0, 1].
    """

    resize: int | tuple[int, int]
    crop: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Backbone:
    """A pretrained network without its classifier.

    `network` maps normalised images [batch, 3, crop, crop] to features [batch, num_features].
    `spec` holds plain values only: the `_target_` of the function that made this backbone and its
    arguments, so that a checkpoint can name the backbone instead of storing its weights again.
    """

    network: nn.Module
    num_features: int
    preprocessing: Preprocessing
    spec: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """sha256 over the names, dtypes, shapes and bytes of all parameters and buffers."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()
