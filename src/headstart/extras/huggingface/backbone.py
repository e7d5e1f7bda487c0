"""Vision models of Hugging Face's transformers, from the Hub or a folder, without their classifier."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...backbone import Backbone
from ...errors import UserError
from ...loading import reason
from ...pooling import Pooled, check_pooling, width
from ...token_maps import prefix_tokens, see_huggingface
from ...weights_file import load_weights_file, weights_path
from .model import load_model
from .processor import processor_preprocessing


class Features(nn.Module):
    """What a model of Hugging Face says of a whole image [batch, num_features]: its pooled output or class token."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """For images [batch, 3, height, width]."""
        output = self.network(pixel_values=images)
        if getattr(output, "pooler_output", None) is not None:
            return output.pooler_output.flatten(1)
        tokens = output.last_hidden_state
        if tokens.ndim == 4:
            return tokens.mean(dim=(2, 3))
        return tokens[:, 0] if prefix_tokens(self.network) else tokens.mean(dim=1)


def from_huggingface(
    name: str, weights: str | None = "pretrained", pooling: str | None = None, seed: int = 0
) -> Backbone:
    """The model `name` on the Hub, such as "facebook/dinov2-small", or the one that a folder `name` holds.

    `weights` is "pretrained", the path of a state dict of one's own, or None for random weights drawn from `seed`.
    For `pooling` see `Pooled`. Only safetensors are read, and code that comes with a model is never run.

    Raises:
        UserError: transformers isn't installed; the model can't be had or is none of images; a preprocessing of an
            unusual kind, or a pooling that the network can't have.
    """
    if weights not in ("pretrained", None) and not weights_path(weights):
        raise UserError(
            f"the weights of Hugging Face's models are 'pretrained', a file or null (random), not {weights!r}"
        )
    check_pooling(pooling)
    folder = Path(name).expanduser()
    source = str(folder.absolute()) if folder.is_dir() else name
    network, processor = load_model(source, weights == "pretrained", seed)
    if (file := weights_path(weights)) is not None:
        load_weights_file(network, file)
    preprocessing = processor_preprocessing(processor, source)
    whole = Pooled(network, see_huggingface, pooling) if pooling else Features(network)
    num_features = _width(whole.eval(), preprocessing.crop, source)
    spec = {
        "_target_": "headstart.extras.huggingface.backbone.from_huggingface",
        "name": source,
        "weights": str(file or weights) if weights else None,
        "pooling": pooling,
        "seed": seed,
    }
    return Backbone(whole, num_features, preprocessing, spec)


@torch.no_grad()
def _width(network: nn.Module, side: int, source: str) -> int:
    try:
        found = width(network, side)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise UserError(f"{source} gives no features for images of {side} pixels ({reason(error)})") from error
    weight = next(network.parameters())
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0), device="cpu").to(weight.device)
    if weight.device.type != "meta" and not torch.equal(network(images), network(images)):
        raise UserError(f"{source} hides random parts of each image, which is for training it alone; choose another")
    return found
