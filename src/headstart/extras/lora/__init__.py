"""Low-rank adapters beside a transformer's linear layers (Hu et al. 2022, https://arxiv.org/abs/2106.09685)."""

import re

from torch import nn

from ...errors import UserError


def add_adapters(network: nn.Module, modules: set[str], rank: int = 8) -> None:
    """Put an adapter of `rank`, scaled by one, beside each linear layer among `modules`; it adds nothing at first.

    Raises:
        UserError: there are no linear layers among them, the rank is none, or peft is not installed.
    """
    if not isinstance(rank, int) or rank < 1:
        raise UserError(f"model.strategy.adapt.rank={rank} must be a whole number from 1 up")
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear) and name in modules]
    if not layers:
        raise UserError("strategy=lora is for transformers: this backbone has no linear layers to put adapters beside")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError("strategy=lora needs peft: pip install -e .[lora]") from error
    targets = f"({'|'.join(map(re.escape, layers))})"
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), network)
