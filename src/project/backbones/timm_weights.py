"""Where the weights of timm's models come from: a file put by hand, the Hub's cache, or a download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from headstart.errors import UserError
from headstart.hub import cached, check_reachable
from headstart.loading import WORKS_OFFLINE, file_of, reason, weights_dir

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

HUB_FILE = "model.safetensors"


def full_name(config: PretrainedCfg) -> str:
    """A model's name with the tag of its weights, such as "resnet50.a1_in1k"."""
    return f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)


def load_pretrained(config: PretrainedCfg, options: dict[str, Any]) -> nn.Module:
    """Build timm's model with its weights and its classifier; `options` go to `timm.create_model`.

    The classifier is wanted, even by those who drop it next: only with as many classes as the weights have
    does timm check that a file is complete. Else what is missing in it would silently stay random.

    Raises:
        UserError: for weights that cannot be downloaded or are damaged.
    """
    import timm
    from safetensors import SafetensorError

    by_hand, url = _sources(config)
    hub_id = config.hf_hub_id
    file = by_hand if by_hand.exists() else hub_id and cached(hub_id, HUB_FILE)
    overlay = {"file": str(file)} if file else None
    try:
        if hub_id and not file:
            check_reachable(hub_id, HUB_FILE)
        return timm.create_model(full_name(config), pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except (OSError, RuntimeError, SafetensorError) as error:
        if file:
            file = file.resolve()  # in the Hub's cache a link, and to delete that alone would change nothing
            advice = f"{file} does not hold the weights of {full_name(config)}; delete it to get it again"
        else:
            advice = (
                f"the weights of {full_name(config)} cannot be downloaded; get {url} and save it as "
                f"{by_hand}, or choose another backbone: {WORKS_OFFLINE}"
            )
        raise UserError(f"{advice} ({reason(error)})") from error


def _sources(config: PretrainedCfg) -> tuple[Path, str]:
    """Where a file put by hand is looked for, and where to get it."""
    from huggingface_hub import hf_hub_url

    if config.hf_hub_id:
        return weights_dir() / f"{full_name(config)}.safetensors", hf_hub_url(config.hf_hub_id, HUB_FILE)
    assert isinstance(config.url, str)
    return file_of(config.url), config.url
