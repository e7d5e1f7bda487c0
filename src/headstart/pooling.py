"""Features pooled otherwise than a network does it itself: from its token map to one vector.

timm can pool its own networks by avg and cls only, torchvision and transformers theirs in one way each.
"""

import re
from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .errors import UserError


class Tokens(NamedTuple):
    """What a network computes before it pools.

    `patches` [batch, places, channels] are the last patch tokens of a transformer, or the last feature map of a CNN.
    `class_tokens` [batch, channels] are those after each of the last blocks that were asked for, as many as there are.
    `after_pooling` is what the network does with a pooled vector [batch, channels]: ConvNeXt has a norm there.
    """

    patches: Tensor
    class_tokens: list[Tensor]
    after_pooling: Callable[[Tensor], Tensor] = nn.Identity()


ReadTokens = Callable[[nn.Module, Tensor, int], Tokens]  # of a network, for images, how many of the last blocks


class Pooled(nn.Module):
    """A network with another pooling: features [batch, num_features] for images [batch, 3, height, width].

    avg: the mean over the places of the image; cls: the class token of a transformer; avg+cls: both. blocks:N: the
    class tokens of the last N blocks, and the mean of the last (the linear probe of DINOv2, with N = 4,
    https://arxiv.org/abs/2304.07193). gem: the generalised mean, with exponent 3 (https://arxiv.org/abs/1711.02512).

    Raises UserError in forward: the network has no class token, or not so many blocks, or tokens of an unusual kind.
    """

    def __init__(self, network: nn.Module, read_tokens: ReadTokens, pooling: str) -> None:
        super().__init__()
        self.network, self.read_tokens, self.pooling = network, read_tokens, pooling
        self.blocks = int(pooling.partition(":")[2] or 1)

    def forward(self, images: Tensor) -> Tensor:
        """Pool the tokens of each image."""
        patches, class_tokens, after_pooling = self.read_tokens(self.network, images, self.blocks)
        if self.pooling in POOL:
            vectors = [POOL[self.pooling](patches)]
        elif len(class_tokens) < self.blocks:
            has = f"{len(class_tokens)} block(s) with a class token" if class_tokens else "no class token; take avg"
            raise UserError(f"backbone.pooling={self.pooling}: {type(self.network).__name__} has {has}")
        else:
            average = [POOL["avg"](patches)] if self.pooling != "cls" else []
            vectors = average + class_tokens if self.pooling == "avg+cls" else class_tokens + average
        return torch.cat([after_pooling(vector) for vector in vectors], dim=1)


class MapPooling(nn.Module):
    """In place of a CNN's own pooling layer: [batch, channels, 1, 1] from [batch, channels, height, width]."""

    def __init__(self, pooling: str) -> None:
        super().__init__()
        if pooling not in POOL:
            raise UserError(f"backbone.pooling={pooling}: a convolutional network has no class token; take avg or gem")
        self.pooling = pooling

    def forward(self, maps: Tensor) -> Tensor:
        """Pool each channel."""
        return POOL[self.pooling](maps.flatten(2).mT)[:, :, None, None]


def generalised_mean(patches: Tensor, exponent: int = 3, least: float = 1e-6) -> Tensor:
    """Between mean and maximum: the root of the mean of powers, in float32 as 16 bits are too few for powers."""
    return patches.float().clamp(min=least).pow(exponent).mean(dim=1).pow(1 / exponent)


POOL: dict[str, Callable[[Tensor], Tensor]] = {"avg": lambda patches: patches.mean(dim=1), "gem": generalised_mean}


def check_pooling(pooling: str | None) -> None:
    """Raise UserError for a pooling that there isn't, before any weights are loaded."""
    if pooling is not None and not re.fullmatch(r"avg|cls|avg\+cls|gem|blocks:[1-9]\d*", pooling):
        raise UserError(
            f"backbone.pooling={pooling}: choose null (the network's own), avg, cls, avg+cls, gem or blocks:N"
        )


@torch.no_grad()
def count_features(network: nn.Module, side: int) -> int:
    """The number of features that `network` computes for an image of `side` pixels."""
    weight = next(network.parameters())
    return network.eval()(torch.zeros(1, 3, side, side, device=weight.device, dtype=weight.dtype)).shape[1]


def read_timm(network: Any, images: Tensor, blocks: int) -> Tokens:
    """Tokens of any network of timm's; a CNN's pooled vector still goes through the layers after its pooling."""
    name = type(network).__name__
    has_class_token = any(name.startswith("cls_token") for name, _ in network.named_parameters(recurse=False))
    if blocks > 1 and has_class_token and "return_prefix_tokens" in signature(network.forward_intermediates).parameters:
        options = {"norm": True, "output_fmt": "NLC", "return_prefix_tokens": True, "intermediates_only": True}
        last = network.forward_intermediates(images, indices=min(blocks, len(network.blocks)), **options)
        return Tokens(last[-1][0], [prefix[:, 0] for _, prefix in last], network.fc_norm)
    output = network.forward_features(images)
    if not isinstance(output, Tensor) or output.ndim not in (3, 4):
        raise UserError(f"backbone.pooling: {name} has more than one feature map; leave it at null")
    if output.ndim == 4:
        channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        places = output.flatten(1, 2) if channels_last else output.flatten(2).mT
        shape = (-1, 1, 1, places.shape[2]) if channels_last else (-1, places.shape[2], 1, 1)
        return Tokens(places, [], lambda vector: network.forward_head(vector.to(output.dtype).view(shape)))
    if has_class_token and not hasattr(network, "num_prefix_tokens"):
        raise UserError(f"backbone.pooling: {name} mixes its tokens in a way of its own; leave it at null")
    patches = output[:, getattr(network, "num_prefix_tokens", 0) :]
    if hasattr(network, "fc_norm") or has_class_token:
        return Tokens(patches, [output[:, 0]] if has_class_token else [], getattr(network, "fc_norm", nn.Identity()))
    return Tokens(patches, [], lambda vector: network.forward_head(vector.to(output.dtype)[:, None]))


def read_torchvision_vit(network: Any, images: Tensor, blocks: int) -> Tokens:
    """Tokens of torchvision's VisionTransformer, which returns its class token alone: hence its steps one by one."""
    encoder, patches = network.encoder, network._process_input(images)
    tokens = torch.cat([network.class_token.expand(len(patches), -1, -1), patches], dim=1)
    tokens = encoder.dropout(tokens + encoder.pos_embedding)
    outputs = [tokens := layer(tokens) for layer in encoder.layers]
    last = [encoder.ln(output) for output in outputs[-blocks:]]
    return Tokens(last[-1][:, 1:], [output[:, 0] for output in last])
