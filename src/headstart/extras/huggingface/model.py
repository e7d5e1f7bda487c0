"""Loading a model of Hugging Face's transformers: from a folder, the Hub's cache or the Hub."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ...errors import UserError
from ...hub import cached, check_reachable
from ...loading import WORKS_OFFLINE, isolated, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")  # never a pickle


def load_model(source: str, pretrained: bool, seed: int) -> tuple[Any, Any]:
    """The network for images, in eval mode, and its image processor; random weights are drawn from `seed`.

    Raises:
        UserError: transformers isn't installed, or the model can't be had, is not whole or is none of images.
    """
    with isolated(seed), _quiet():
        network, processor = _load(source, pretrained)
        return _images_only(network, source), processor


def _load(source: str, pretrained: bool) -> tuple[Any, Any]:
    try:
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoImageProcessor, AutoModel
    except ImportError as error:
        raise UserError("backbone=huggingface needs transformers: pip install -e .[huggingface]") from error
    try:
        place, options = _where(source, pretrained), {"trust_remote_code": False}
        processor = AutoImageProcessor.from_pretrained(place, **options)
        if not pretrained:
            return AutoModel.from_config(AutoConfig.from_pretrained(place, **options)), processor
        network, loaded = AutoModel.from_pretrained(place, use_safetensors=True, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise UserError(
            f"the model {source} can't be loaded: it must be one of images, with {CONFIG}, preprocessor_config.json "
            f"and {WEIGHTS[0]}, in a folder, in the Hub's cache or on the Hub, or choose another: {WORKS_OFFLINE} "
            f"({reason(error)})"
        ) from error
    there = _images_only(network, source).state_dict()
    if missing := [n for n in map(str, loaded["missing_keys"]) if n.removeprefix("vision_model.") in there]:
        raise UserError(
            f"the weights of {source} are not whole: {missing[0]} and {len(missing) - 1} others are missing"
        )
    return network, processor


def _where(source: str, pretrained: bool) -> str:
    """The folder where all files are, or the name of the model on the Hub; ConnectionError when that doesn't answer.

    transformers looks for adapters of a model that it knows by name, for half a minute where a firewall hides the
    Hub, and even if told that all files are local.
    """
    config = cached(source, CONFIG) if not Path(source).is_dir() else None
    if config and (not pretrained or any(cached(source, file) for file in WEIGHTS)):
        return str(config.parent)
    if not Path(source).is_dir():
        check_reachable(source, CONFIG)
    return source


def _images_only(network: Any, source: str) -> Any:
    """The part for images, in float32, without a layer for sentences that ViTs have and most checkpoints haven't."""
    network = getattr(network, "vision_model", network)
    if network.main_input_name != "pixel_values":
        raise UserError(f"{source} is a {type(network).__name__}, which is no model of images; choose another")
    if isinstance(getattr(getattr(network, "pooler", None), "dense", None), nn.Linear):
        network.pooler = None
    return network.float().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without reports on classifiers that are left out, and without bars; what is wrong with a model is raised."""
    try:
        from transformers.utils import logging
    except ImportError:  # said in one line by who needs it
        yield
        return
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
