"""Vision models of Hugging Face's transformers, from the Hub or a folder, without their classifier."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...backbone import Backbone
from ...errors import UserError
from ...pooling import Pooled, Tokens, check_pooling, count_features
from ...specs import to_spec
from ...weights import (
    WORKS_OFFLINE,
    check_hub_reachable,
    hub_cached,
    isolated,
    load_weights_file,
    refuse_nan,
    weights_path,
)
from ...weights_file import State, reason
from .processor import processor_preprocessing

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")  # never a pickle
NORMS = ("layernorm", "norm", "layer_norm")  # what transformers calls the last one


def from_huggingface(
    name: str,
    weights: str | None = "pretrained",
    pooling: str | None = None,
    seed: int = 0,
    weights_key: str | None = None,
) -> Backbone:
    """The model `name` on the Hub, such as "facebook/dinov2-small", or the one that a folder `name` holds.

    `weights` is "pretrained", the path of a state dict of one's own, or None for random weights drawn from `seed`.
    For `pooling` see `Pooled`. Only safetensors are read, and code that comes with a model is never run.

    Raises:
        UserError: transformers isn't installed; the model can't be loaded, is not whole or takes no images; a
            preprocessing of an unusual kind, or a pooling that the network can't have.
    """
    file = weights_path(weights, "pretrained", weights_key)
    check_pooling(pooling)
    folder = Path(name).expanduser()
    source = str(folder.absolute()) if folder.is_dir() else name
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise UserError("backbone=huggingface needs transformers: pip install -e .[huggingface]") from error
    with isolated(seed), _quiet():
        network, processor = _load(source, weights == "pretrained")
    if file:
        with isolated(seed), _quiet():
            load_weights_file(
                network, file, (), weights_key, partial(_as_transformers_reads, network), from_huggingface
            )
    preprocessing = processor_preprocessing(processor, source)
    network = Pooled(network, read_tokens, pooling) if pooling else Features(network)
    num_features = _count_features(network, preprocessing.crop, source)
    weights = str(file) if file else weights
    arguments = {"weights": weights, "pooling": pooling, "seed": seed, "weights_key": weights_key}
    spec = to_spec(partial(from_huggingface, name=source, **arguments))
    return Backbone(network.eval(), num_features, preprocessing, spec, packages=("transformers",))


class Features(nn.Module):
    """The features of whole images [batch, num_features] that a model has itself: its pooled output or class token."""

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
        return tokens[:, 0] if _prefix_tokens(self.network) else tokens.mean(dim=1)


def read_tokens(network: Any, images: Tensor, blocks: int) -> Tokens:
    """Tokens of a transformer, or the last feature map of a CNN."""
    output = network(pixel_values=images, output_hidden_states=blocks > 1)
    last = output.last_hidden_state
    norm = next((m for n, m in network.named_children() if n in NORMS and isinstance(m, nn.LayerNorm)), nn.Identity())
    if last.ndim == 4:
        return Tokens(last.flatten(2).mT, [], lambda vector: norm(vector.to(last.dtype)))
    earlier = output.hidden_states[1:-1][1 - blocks :] if blocks > 1 else ()  # the embeddings come first
    prefix = _prefix_tokens(network)
    class_tokens = [states[:, 0] for states in (*map(norm, earlier), last)] if prefix else []
    return Tokens(last[:, prefix:], class_tokens)


def _prefix_tokens(network: Any) -> int:
    """How many tokens stand before the patches: none, or the class token first."""
    embeddings = getattr(network, "embeddings", network)
    token = any(getattr(embeddings, name, None) is not None for name in ("cls_token", "class_embedding"))
    distilled = getattr(embeddings, "distillation_token", None) is not None
    return token + distilled + (getattr(network.config, "num_register_tokens", 0) if token else 0)


def _load(source: str, pretrained: bool) -> tuple[Any, Any]:
    """The network for images, in eval mode, and its image processor."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoImageProcessor, AutoModel

    try:
        place, options = _where(source, pretrained), {"trust_remote_code": False}
        processor = AutoImageProcessor.from_pretrained(place, **options)
        if pretrained:
            whole = {"use_safetensors": True, "output_loading_info": True}
            network, loaded = AutoModel.from_pretrained(place, **whole, **options)
        else:
            network, loaded = AutoModel.from_config(AutoConfig.from_pretrained(place, **options)), {}
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise UserError(
            f"the model {source} can't be loaded: it must take images, with {CONFIG}, preprocessor_config.json "
            f"and {WEIGHTS[0]}, in a folder, in the Hub's cache or on the Hub, or choose another: {WORKS_OFFLINE} "
            f"({reason(error)})"
        ) from error
    network = _images_only(network, source)
    wanted, missing = network.state_dict(), map(str, loaded.get("missing_keys", ()))
    if missing := [name for name in missing if name.removeprefix("vision_model.") in wanted]:
        raise UserError(f"the weights of {source} are not whole: {len(missing)} are missing, such as {missing[0]}")
    refuse_nan(network, source)
    return network, processor


def _as_transformers_reads(network: Any, state: State) -> State:
    """The state dict by the names of the installed transformers, which writes those of earlier versions into files."""
    make, options = type(network).from_pretrained, {"use_safetensors": True, "output_loading_info": True}
    made, loaded = make(None, config=network.config, state_dict=state, **options)
    return {name: value for name, value in made.state_dict().items() if name not in loaded["missing_keys"]}


def _where(source: str, pretrained: bool) -> str:
    """The folder where all files are, or the name of the model on the Hub; ConnectionError when that doesn't answer.

    transformers looks for adapters of a model that it knows by name, for half a minute where a firewall hides the
    Hub, and even if told that all files are local.
    """
    if Path(source).is_dir():
        return source
    config = hub_cached(source, CONFIG)
    if config and (not pretrained or any(hub_cached(source, file) for file in WEIGHTS)):
        return str(config.parent)
    check_hub_reachable(source, CONFIG)
    return source


def _images_only(network: Any, source: str) -> Any:
    """The part for images, in float32, without a layer for sentences that ViTs have and most checkpoints haven't."""
    network = getattr(network, "vision_model", network)
    if network.main_input_name != "pixel_values":
        raise UserError(f"{source} is a {type(network).__name__}, which takes no images; choose another")
    if isinstance(getattr(getattr(network, "pooler", None), "dense", None), nn.Linear):
        network.pooler = None
    return network.float().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without reports on classifiers that are left out, and without bars; what is wrong with a model is raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@torch.no_grad()
def _count_features(network: nn.Module, side: int, source: str) -> int:
    """The number of features; raises UserError when there are none, or others every time."""
    try:
        found = count_features(network, side)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise UserError(f"{source} gives no features for images of {side} pixels ({reason(error)})") from error
    weight = next(network.parameters())
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0), device="cpu").to(weight.device)
    if weight.device.type != "meta" and not torch.equal(network(images), network(images)):
        raise UserError(f"{source} hides random parts of each image, which is for training it alone; choose another")
    return found
