"""Any of timm's models, without its classifier."""

from __future__ import annotations

from difflib import get_close_matches
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.backbone import Backbone, Preprocessing
from headstart.errors import UserError
from headstart.loading import isolated
from headstart.pooling import Pooled, check_pooling, width
from headstart.token_maps import see_timm
from headstart.weights_file import load_weights_file, weights_path

from .timm_weights import full_name, load_pretrained

if TYPE_CHECKING:
    from timm.models import PretrainedCfg


def from_timm(
    name: str,
    weights: str | None = "pretrained",
    image_size: int | None = None,
    pooling: str | None = None,
    seed: int = 0,
) -> Backbone:
    """The model `name` of timm, such as "resnet50" or, with the tag of its weights, "resnet50.a1_in1k".

    `weights` is "pretrained", the path of a checkpoint of one's own, or None for random weights drawn from `seed`.
    `image_size` in pixels overrides the size that the weights were made for; position embeddings are resampled
    where a network has them. For `pooling` see `Pooled`.

    Raises:
        UserError: for an unknown name, a network or a preprocessing of an unusual kind, weights that
            cannot be downloaded, are damaged or don't fit, and a pooling that the network can't have.
    """
    file = weights_path(weights)
    if weights not in ("pretrained", None) and not file:
        raise UserError(f"the weights of timm's models are 'pretrained', a file or null (random), not {weights!r}")
    check_pooling(pooling)
    config = _find(name, pretrained=weights == "pretrained")
    preprocessing = timm_preprocessing(config, image_size)
    # Only networks with position embeddings or windows must know the size; the others do not take the option.
    options: dict[str, Any] = {"img_size": image_size} if image_size and config.fixed_input_size else {}
    with isolated(seed):
        network = _build(config, options, pretrained=weights == "pretrained", file=file)
    features = network.head_hidden_size
    if pooling:
        network = Pooled(network, see_timm, pooling)
        features = width(network, preprocessing.crop)
    spec = {
        "_target_": "project.backbones.timm.from_timm",
        "name": full_name(config),  # with its tag, since a later timm may change which one is the default
        "weights": str(file) if file else weights,
        "image_size": image_size,
        "pooling": pooling,
        "seed": seed,
    }
    return Backbone(network, features, preprocessing, spec)


def _build(config: PretrainedCfg, options: dict[str, Any], pretrained: bool, file: Path | None) -> Any:
    import timm

    name = full_name(config)
    network: Any = load_pretrained(config, options) if pretrained else timm.create_model(name, **options)
    if not hasattr(network, "reset_classifier"):  # the image encoders of a few language models
        raise UserError(f"{name} does not turn an image into one vector of features; choose another model")
    whole = set(network.state_dict())
    network.reset_classifier(0)
    if file:
        load_weights_file(network, file, {name.rpartition(".")[0] for name in whole.difference(network.state_dict())})
    return network.eval()


def timm_preprocessing(config: PretrainedCfg, image_size: int | None = None) -> Preprocessing:
    """The resize and crop of timm's own evaluation, at `image_size` pixels or the size of the weights.

    Raises:
        UserError: for weights that want images padded ("border") or not square.
    """
    from timm.data import resolve_data_config

    size = {"input_size": (3, image_size, image_size)} if image_size else {}
    data = resolve_data_config(size, config.to_dict())
    _, height, width = data["input_size"]
    if data["crop_mode"] not in ("center", "squash") or height != width:
        raise UserError(
            f"{full_name(config)} wants images of {height} x {width} pixels and crop mode "
            f"{data['crop_mode']!r}; only square ones with 'center' or 'squash' are supported: choose another"
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
    import timm

    known = {
        *timm.list_models(pretrained=pretrained, include_tags=False),
        *timm.list_models(pretrained=pretrained, include_tags=True),
    }
    if name not in known:
        similar = ", ".join(get_close_matches(name, known))
        advice = f"did you mean one of: {similar}?" if similar else "timm.list_models() returns all names"
        raise UserError(f"timm has no {'pretrained ' if pretrained else ''}model {name!r}; {advice}")
    config = timm.models.get_pretrained_cfg(name)
    assert config
    return config
