"""Low-rank adapters beside a transformer's linear layers; they are all that is trained."""

import re

from torch import nn

from ...errors import UserError

ADAPTER = ".lora_"  # in the names of their parameters


def add_adapters(network: nn.Module, rank: int, modules: set[str]) -> None:
    """Put an adapter of `rank`, scaled by one, beside each linear layer among `modules`; it adds nothing at first.

    Raises:
        UserError: there are no linear layers among them, or peft is not installed.
    """
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear) and name in modules]
    if not layers:
        raise UserError("strategy=lora is for transformers: this backbone has no linear layers to put adapters beside")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError("strategy=lora needs peft: pip install -e .[lora]") from error
    targets = f"({'|'.join(map(re.escape, layers))})"
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), network)
