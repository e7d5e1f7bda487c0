"""From uint8 images to features: the one road that training, feature cache, evaluation and prediction take."""

import logging

import torch
from torch import Tensor, nn

from .errors import UserError

# On a CPU, more at a time gain nothing. With fewer, all cores wait for each other at every layer of every part: with
# 16 at a time, EfficientNet-Lite0 in float32 took 1.1 to 1.25 times as long on two cores.
CPU_CHUNK = 64
HALVINGS = 4

log = logging.getLogger(__name__)
_that_fit: dict[torch.device, int] = {}  # so many images at once, where more were too many for the memory


@torch.no_grad()
def compute_features(network: nn.Module, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Features [batch, num_features] in float32 for uint8 images [batch, 3, height, width].

    `mean` and `std` [1, 3, 1, 1] are for pixels in [0, 255]. Where the memory is too small for all at once, they go
    through in smaller parts, which come to the same features: a frozen network knows nothing of batches.

    Raises:
        UserError: a sixteenth of them is still too much.
    """
    device = images.device
    wanted = CPU_CHUNK if device.type == "cpu" else len(images)
    size = min(wanted, _that_fit.get(device, wanted))
    while (features := _in_parts(network, images.split(size), mean, std)) is None:
        if size == 1 or size * 2**HALVINGS <= wanted:
            raise UserError(
                f"the memory of {device} is too small for {size} images at once: lower data.batch_size, choose a "
                "smaller backbone, or let others end that use the device"
            )
        size = size // 2
    if size < min(wanted, _that_fit.get(device, wanted)):
        _that_fit[device] = size
        log.warning(f"the memory of {device} is small: {size} images at a time now, with the same results")
    return features


def _in_parts(network: nn.Module, parts: tuple[Tensor, ...], mean: Tensor, std: Tensor) -> Tensor | None:
    """All features, or None when the memory was too small; nothing is held on to then."""
    try:
        features = [network(normalise(part, mean, std)).float() for part in parts]
        return torch.cat(features) if len(features) > 1 else features[0]
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
    if parts[0].device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _is_lack_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Float images [batch, 3, height, width] with channels last, from uint8 ones."""
    # In the order in which they were decoded, then rearranged: with channels last, a CPU subtracts ten times as slowly.
    return (images - mean).div_(std).contiguous(memory_format=torch.channels_last)
