"""The precision that a machine is fastest in without losing accuracy, and how far it can repeat its results."""

from typing import Literal

import torch

Precision = Literal["bf16-mixed", "32-true"]
AMPERE = (8, 0)  # the first CUDA capability with bf16 in hardware


def best_precision(accelerator: str = "auto") -> Precision:
    """`bf16-mixed` where the hardware computes in bf16 (CUDA >= 8.0, CPUs with AVX512-BF16 or AMX), else `32-true`."""
    return "bf16-mixed" if _has_bf16(accelerator) else "32-true"


def repeatable() -> Literal["warn"] | None:
    """What Trainer(deterministic=) needs for equal runs to be equal bit for bit.

    On a CPU that is nothing. On a GPU, torch chooses its repeatable operations, and warns of those that have none.
    """
    if not torch.cuda.is_available():
        return None
    # A help for finding bugs, that costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    return "warn"


def _has_bf16(accelerator: str) -> bool:
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_capability() >= AMPERE
    if accelerator == "mps" or (accelerator in ("auto", "gpu") and torch.backends.mps.is_available()):
        return False
    # No public name for these two yet; both have been there since torch 2.6.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
