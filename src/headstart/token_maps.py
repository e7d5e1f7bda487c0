"""What networks of three libraries see at each place of an image, for `pooling`."""

from typing import Any

import torch
from torch import Tensor, nn

from .errors import UserError
from .pooling import Seen

NORMS = ("layernorm", "norm", "layer_norm")  # what transformers calls the last one


def see_timm(network: Any, images: Tensor, blocks: int) -> Seen:
    """Of a convolutional network the last map, whose pooled vector still goes through the layers that follow."""
    if blocks > 1:
        return _last_blocks_of_timm(network, images, blocks)
    seen = network.forward_features(images)
    name = type(network).__name__
    if not isinstance(seen, Tensor) or seen.ndim not in (3, 4):
        raise UserError(f"backbone.pooling: {name} sees more than one map; leave it at null")
    if seen.ndim == 4:
        last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        shape = (-1, 1, 1, seen.shape[-1]) if last else (-1, seen.shape[1], 1, 1)
        places = seen.flatten(1, 2) if last else seen.flatten(2).mT
        return Seen(places, [], lambda vector: network.forward_head(vector.to(seen.dtype).view(shape)))
    token = getattr(network, "cls_token", None) is not None
    if token and not hasattr(network, "num_prefix_tokens"):
        raise UserError(f"backbone.pooling: {name} mixes its tokens in a way of its own; leave it at null")
    patches = seen[:, getattr(network, "num_prefix_tokens", 0) :]
    return Seen(patches, [seen[:, 0]] if token else [], getattr(network, "fc_norm", nn.Identity()))


def _last_blocks_of_timm(network: Any, images: Tensor, blocks: int) -> Seen:
    if getattr(network, "cls_token", None) is None or not hasattr(network, "num_prefix_tokens"):
        raise UserError(f"backbone.pooling=blocks:{blocks}: {type(network).__name__} has no class token; take avg")
    _check(len(network.blocks), blocks)
    options = {"norm": True, "output_fmt": "NLC", "return_prefix_tokens": True, "intermediates_only": True}
    seen = network.forward_intermediates(images, indices=blocks, **options)
    return Seen(seen[-1][0], [prefix[:, 0] for _, prefix in seen], network.fc_norm)


def see_torchvision_vit(network: Any, images: Tensor, blocks: int) -> Seen:
    """torchvision's VisionTransformer gives its class token alone, so its steps are taken here one by one."""
    encoder = network.encoder
    _check(len(encoder.layers), blocks)
    patches = network._process_input(images)
    seen = torch.cat([network.class_token.expand(len(patches), -1, -1), patches], dim=1)
    seen = encoder.dropout(seen + encoder.pos_embedding)
    outputs = [seen := layer(seen) for layer in encoder.layers]
    outputs = [encoder.ln(output) for output in outputs[-blocks:]]
    return Seen(outputs[-1][:, 1:], [output[:, 0] for output in outputs], nn.Identity())


def see_huggingface(network: Any, images: Tensor, blocks: int) -> Seen:
    """Tokens of a transformer, or the last map of a convolutional network."""
    output = network(pixel_values=images, output_hidden_states=blocks > 1)
    last = output.last_hidden_state
    norm = next((m for n, m in network.named_children() if n in NORMS and isinstance(m, nn.LayerNorm)), nn.Identity())
    if last.ndim == 4:
        if blocks > 1:
            raise UserError(f"backbone.pooling=blocks:{blocks}: {type(network).__name__} has no class token; take avg")
        return Seen(last.flatten(2).mT, [], lambda vector: norm(vector.to(last.dtype)))
    outputs = [last]
    if blocks > 1:
        _check(len(output.hidden_states) - 1, blocks)
        outputs = [*map(norm, output.hidden_states[-blocks:-1]), last]
    prefix = prefix_tokens(network)
    tokens = [states[:, 0] for states in outputs] if prefix else []
    return Seen(last[:, prefix:], tokens, nn.Identity())


def prefix_tokens(network: Any) -> int:
    """How many tokens of a transformer of Hugging Face stand before the patches: none, or the class token first."""
    embeddings = getattr(network, "embeddings", network)
    token = any(getattr(embeddings, name, None) is not None for name in ("cls_token", "class_embedding"))
    distilled = getattr(embeddings, "distillation_token", None) is not None
    return token + distilled + (getattr(network.config, "num_register_tokens", 0) if token else 0)


def _check(there: int, blocks: int) -> None:
    if blocks > there:
        raise UserError(f"backbone.pooling=blocks:{blocks}: the network has {there} blocks")
