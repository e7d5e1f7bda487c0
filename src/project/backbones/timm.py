"""Any of timm's models, without its classifier."""

from __future__ import annotations

import sys
from functools import partial
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.backbone import Backbone, Preprocessing
from headstart.errors import UserError, did_you_mean
from headstart.files import WeightsFile
from headstart.machine import hidden
from headstart.pooling import Pooled, check_pooling, count_features, read_timm
from headstart.specs import to_spec
from headstart.weights import (
    WORKS_OFFLINE,
    check_hub_reachable,
    download_path,
    hub_cached,
    isolated,
    load_weights_file,
    weights_dir,
    weights_path,
)
from headstart.weights_file import reason

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

HUB_FILE = "model.safetensors"


def from_timm(
    name: str,
    weights: WeightsFile | None = "pretrained",
    image_size: int | None = None,
    pooling: str | None = None,
    seed: int = 0,
    weights_key: str | None = None,
) -> Backbone:
    """The model `name` of timm, such as "resnet50" or, with the tag of its weights, "resnet50.a1_in1k".

    `weights` is "pretrained", the path of a checkpoint of one's own, or None for random weights drawn from `seed`.
    `image_size` in pixels overrides the size that the weights were made for; position embeddings are resampled
    where a network has them. For `pooling` see `Pooled`.

    Raises:
        UserError: for an unknown name, a network or a preprocessing of an unusual kind, weights that
            cannot be downloaded, are damaged or don't fit, and a pooling that the network can't have.
    """
    file, pretrained = weights_path(weights, "pretrained", weights_key), weights == "pretrained"
    check_pooling(pooling)
    config = _find(name, pretrained)
    preprocessing = timm_preprocessing(config, image_size)
    # Only networks with position embeddings or windows must know the size; the others do not take the option.
    options: dict[str, Any] = {"img_size": image_size} if image_size and config.fixed_input_size else {}
    with isolated(seed):
        network = _build(config, options, pretrained, file, weights_key)
    num_features = network.head_hidden_size
    if pooling:
        network = Pooled(network, read_timm, pooling)
        num_features = count_features(network, preprocessing.crop)
    name, weights = _full_name(config), str(file) if file else weights  # a later timm may have another default tag
    arguments = {"name": name, "weights": weights, "image_size": image_size, "pooling": pooling, "seed": seed}
    spec = to_spec(partial(from_timm, **arguments, weights_key=weights_key))
    return Backbone(network, num_features, preprocessing, spec)


def library() -> Any:
    """timm, which takes half a second less to import without W&B, as its own training script alone uses that."""
    with hidden("wandb"):
        import timm
        import timm.data
    return timm


def timm_preprocessing(config: PretrainedCfg, image_size: int | None = None) -> Preprocessing:
    """The resize and crop of timm's own evaluation, at `image_size` pixels or the size of the weights.

    Raises:
        UserError: for weights that want images padded ("border") or not square.
    """
    size = {"input_size": (3, image_size, image_size)} if image_size else {}
    data = library().data.resolve_data_config(size, config.to_dict())
    _, height, width = data["input_size"]
    if data["crop_mode"] not in ("center", "squash") or height != width:
        raise UserError(
            f"{_full_name(config)} wants images of {height} x {width} pixels and crop mode "
            f"{data['crop_mode']!r}; only square ones with 'center' or 'squash' are supported: choose another model"
        )
    resize = floor(height / data["crop_pct"])
    return Preprocessing(
        resize=(resize, resize) if data["crop_mode"] == "squash" else resize,
        crop=height,
        interpolation=data["interpolation"],
        mean=data["mean"],
        std=data["std"],
    )


def _find(name: str, pretrained: bool) -> PretrainedCfg:
    known = [name for tags in (False, True) for name in library().list_models(pretrained=pretrained, include_tags=tags)]
    if name not in known:
        kind = "pretrained model" if pretrained else "model"
        raise UserError(f"timm has no {kind} {name!r}; {did_you_mean(name, known)}timm.list_models() returns all names")
    config = library().models.get_pretrained_cfg(name)
    assert config
    return config


def _build(config: PretrainedCfg, options: dict[str, Any], pretrained: bool, file: Path | None, key: str | None) -> Any:
    name = _full_name(config)
    network: Any = _load_pretrained(config, options) if pretrained else library().create_model(name, **options)
    if not hasattr(network, "reset_classifier"):  # the image encoders of a few language models
        raise UserError(f"{name} does not turn an image into one vector of features; choose another model")
    whole = set(network.state_dict())
    network.reset_classifier(0)
    if file:
        classifier = {name.rpartition(".")[0] for name in whole.difference(network.state_dict())}
        as_timm = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        adapt = partial(as_timm, model=network) if as_timm else None
        load_weights_file(network, file, classifier, key, adapt, from_timm)
    return network.eval()


def _load_pretrained(config: PretrainedCfg, options: dict[str, Any]) -> Any:
    """timm's model with its weights, from a file put by hand, the Hub's cache or a download, and its classifier.

    The classifier is wanted, even though it is dropped next: only with as many classes as the weights have
    does timm check that a file is complete. Else what is missing in it would silently stay random.
    """
    from huggingface_hub import hf_hub_url
    from safetensors import SafetensorError

    name, hub_id = _full_name(config), config.hf_hub_id
    url = hf_hub_url(hub_id, HUB_FILE) if hub_id else str(config.url)
    by_hand = weights_dir() / f"{name}.safetensors" if hub_id else download_path(url)
    file = by_hand if by_hand.exists() else hub_id and hub_cached(hub_id, HUB_FILE)
    try:
        if hub_id and not file:
            check_hub_reachable(hub_id, HUB_FILE)
        overlay = {"file": str(file)} if file else None
        return library().create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except (OSError, RuntimeError, SafetensorError) as error:
        if file:
            file = file.resolve()  # in the Hub's cache a link, and to delete that alone would change nothing
            advice = f"{file} does not hold the weights of {name}; delete it to get it again"
        else:
            advice = (
                f"the weights of {name} cannot be downloaded; get {url} and save it as {by_hand}, "
                f"or choose another backbone: {WORKS_OFFLINE}"
            )
        raise UserError(f"{advice} ({reason(error)})") from error


def _full_name(config: PretrainedCfg) -> str:
    """A model's name with the tag of its weights, such as "resnet50.a1_in1k"."""
    return f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)
