"""From what a network sees at each place of an image to one vector of features."""

import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .errors import UserError

POOLINGS = "null (the network's own), avg, cls, avg+cls, gem, blocks:N"


class Seen(NamedTuple):
    """What the network saw: patches [batch, places, channels], and the class token [batch, channels] if it has one.

    `tokens` holds the class token after each of the last blocks that were asked for. `finish` is what the network
    does with a pooled vector [batch, channels], such as the norm that ConvNeXt has there.
    """

    patches: Tensor
    tokens: list[Tensor]
    finish: Callable[[Tensor], Tensor]


Read = Callable[[nn.Module, Tensor, int], Seen]  # network, images, how many of the last blocks


class Pooled(nn.Module):
    """A network with another pooling: features [batch, num_features] for images [batch, 3, height, width].

    avg: the mean over the places of the image; cls: the class token of a transformer; avg+cls: both. blocks:N: the
    class tokens of the last N blocks, and the mean of the last (the linear probe of DINOv2, with N = 4,
    https://arxiv.org/abs/2304.07193). gem: the generalised mean, with exponent 3 (https://arxiv.org/abs/1711.02512).

    Raises:
        UserError: an unknown pooling; in forward: the network has no class token, or isn't known well enough.
    """

    def __init__(self, network: nn.Module, read: Read, pooling: str) -> None:
        super().__init__()
        check_pooling(pooling)
        self.network, self.read, self.pooling = network, read, pooling
        name, _, count = pooling.partition(":")
        self.blocks = int(count or 1)
        self.parts = {"blocks": ("cls", "avg"), "avg+cls": ("avg", "cls")}.get(name, (name,))

    def forward(self, images: Tensor) -> Tensor:
        """Pool what the network sees in them."""
        seen = self.read(self.network, images, self.blocks)
        if "cls" in self.parts and not seen.tokens:
            raise UserError(
                f"backbone.pooling={self.pooling}: {type(self.network).__name__} has no class token; take avg"
            )
        vectors: list[Tensor] = []
        for part in self.parts:
            vectors += seen.tokens if part == "cls" else [POOL[part](seen.patches)]
        return torch.cat([seen.finish(vector) for vector in vectors], dim=1)


class MapPooling(nn.Module):
    """In place of a network's own pooling: [batch, channels, 1, 1] from [batch, channels, height, width]."""

    def __init__(self, pooling: str) -> None:
        super().__init__()
        if pooling not in POOL:
            raise UserError(f"backbone.pooling={pooling}: a convolutional network has no class token; take avg or gem")
        self.pooling = pooling

    def forward(self, maps: Tensor) -> Tensor:
        """Pool them."""
        return POOL[self.pooling](maps.flatten(2).mT)[:, :, None, None]


def check_pooling(pooling: str | None) -> None:
    """Raise UserError for a pooling that there isn't."""
    if pooling is not None and not re.fullmatch(r"avg|cls|avg\+cls|gem|blocks:[1-9]\d*", pooling):
        raise UserError(f"backbone.pooling={pooling}: choose one of {POOLINGS}")


def average(patches: Tensor) -> Tensor:
    """The mean over the places: [batch, channels] from [batch, places, channels]."""
    return patches.mean(dim=1)


def generalised_mean(patches: Tensor, exponent: int = 3, least: float = 1e-6) -> Tensor:
    """Between mean and maximum: the root of the mean of powers, in float32 as 16 bits are too few for powers."""
    return patches.float().clamp(min=least).pow(exponent).mean(dim=1).pow(1 / exponent)


POOL = {"avg": average, "gem": generalised_mean}


@torch.no_grad()
def width(network: nn.Module, side: int) -> int:
    """The number of features, from an image of `side` pixels that is sent through."""
    weight = next(network.parameters())
    return network.eval()(torch.zeros(1, 3, side, side, device=weight.device, dtype=weight.dtype)).shape[1]
