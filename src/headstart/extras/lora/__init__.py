"""Low-rank adapters beside a transformer's linear layers (Hu et al. 2022, https://arxiv.org/abs/2106.09685)."""

import logging
import re

from torch import Tensor, nn

from ...errors import UserError
from ...gradients import called_modules, share_of

log = logging.getLogger(__name__)


def add_adapters(network: nn.Module, modules: set[str], image: Tensor, rank: int = 8) -> None:
    """Put an adapter of `rank`, scaled by one, beside each linear layer among `modules`; it adds nothing at first.

    A layer that isn't called for an `image` [1, 3, side, side] gets none, and is named: its adapter would do nothing.
    (peft adapts torch's MultiheadAttention by adding to its weights and subtracting again at every step, which rounds
    them: they would not stay the same.)

    Raises:
        UserError: there are no such layers among them, the rank is none, or peft is not installed.
    """
    if not isinstance(rank, int) or rank < 1:
        raise UserError(f"model.strategy.adapt.rank={rank} must be a whole number from 1 up")
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}
    weights = {name: layer.weight for name, layer in layers.items() if name in modules}
    if not weights:
        raise UserError("strategy=lora is for transformers: this backbone has no linear layers to put adapters beside")
    unused = set(weights) - called_modules(network, image)
    if len(unused) == len(weights):
        raise UserError("strategy=lora: this backbone takes the weights of its linear layers, but calls none of them")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError("strategy=lora needs peft: pip install -e .[lora]") from error
    if unused:
        log.info(f"linear layers without an adapter, as only their weights are used: {share_of(unused, weights)}")
    targets = f"({'|'.join(re.escape(name) for name in weights if name not in unused)})"
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), network)
