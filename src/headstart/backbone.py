"""What every backbone is: a network, and how it wants its images; and the way from uint8 images to features."""

import hashlib
import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .errors import UserError

# On a CPU, more at a time gain nothing. With fewer, all cores wait for each other at every layer of every part: with
# 16 at a time, EfficientNet-Lite0 in float32 took 1.1 to 1.25 times as long on two cores.
CPU_CHUNK = 64
HALVINGS = 4

log = logging.getLogger(__name__)
_that_fit: dict[torch.device, int] = {}  # so many images at once, where more were too many for the memory


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

    def example(self) -> Tensor:
        """Two normalised images [2, 3, crop, crop] of noise, always the same, to see what a network makes of them."""
        return torch.randn(2, 3, self.crop, self.crop, generator=torch.Generator().manual_seed(0))

    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """Both as float32 [1, 3, 1, 1], for pixels in [0, 255]."""
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (self.mean, self.std))
        return mean, std


@dataclass(frozen=True)
class Backbone:
    """A pretrained network without its classifier.

    `network` maps normalised images [batch, 3, crop, crop] to features [batch, num_features].
    `spec` holds plain values only: the `_target_` of the function that made this backbone and its
    arguments, so that a checkpoint can name the backbone instead of storing its weights again.
    `packages` are installed packages whose versions the features depend on, besides torch, torchvision and timm.
    """

    network: nn.Module
    num_features: int
    preprocessing: Preprocessing
    spec: dict[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """sha256 over the names, dtypes, shapes and bytes of all parameters and buffers."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Float images [batch, 3, height, width] with channels last, from uint8 ones; see `compute_features`."""
    # In the order in which they were decoded, then rearranged: with channels last, a CPU subtracts ten times as slowly.
    return (images - mean).div_(std).contiguous(memory_format=torch.channels_last)


class DepthwiseInFloat32(TorchFunctionMode):
    """Inside, depthwise convolutions keep float32 under autocast on a CPU, which costs less time than it saves.

    Their gradients take a CPU 2 to 18 times as long in bfloat16; EfficientNet-Lite0 trains 1.6 times as fast with this.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`."""
        if func is torch.conv2d and torch.is_autocast_enabled("cpu") and args[1].shape[1] == 1:
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def features_to_train(network: nn.Module, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The same as `compute_features`, with a graph behind it: for a network that is trained, on a batch as it is."""
    with DepthwiseInFloat32():
        return network(normalise(images, mean, std)).float()


@torch.no_grad()
def compute_features(network: nn.Module, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Features [batch, num_features] in float32 for uint8 images [batch, 3, height, width].

    Training, feature cache, evaluation and prediction all go through here. `mean` and `std` [1, 3, 1, 1] are for
    pixels in [0, 255]. Where the memory is too small for all images at once, they are computed in smaller parts,
    with the same results: a frozen network does not mix the images of a batch.

    Raises UserError when a sixteenth of the images at once is still too much for the memory.
    """
    device = images.device
    wanted = CPU_CHUNK if device.type == "cpu" else len(images)
    size = most = min(wanted, _that_fit.get(device, wanted))
    while (features := _in_parts(network, images.split(size), mean, std)) is None:
        if size == 1 or size * 2**HALVINGS <= wanted:
            raise UserError(
                f"the memory of {device} is too small for {size} images at once: lower data.batch_size, choose a "
                "smaller backbone, or end other programs that use the device"
            )
        size = size // 2
    if size < most:
        _that_fit[device] = size
        log.warning(f"the memory of {device} is small: {size} images at a time from now on, with the same results")
    return features


def _in_parts(network: nn.Module, parts: tuple[Tensor, ...], mean: Tensor, std: Tensor) -> Tensor | None:
    """All features, or None when the memory was too small; no part of them is kept then."""
    try:
        features = [network(normalise(part, mean, std)).float() for part in parts]
        return torch.cat(features) if len(features) > 1 else features[0]
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
    if parts[0].device.type == "cuda":
        torch.cuda.empty_cache()
    return None
