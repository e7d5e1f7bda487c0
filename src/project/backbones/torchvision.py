"""Any of torchvision's classification models, without its classifier."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from torch import nn

from headstart.backbone import Backbone, Preprocessing
from headstart.errors import UserError, did_you_mean
from headstart.files import WeightsFile
from headstart.pooling import MapPooling, Pooled, check_pooling, count_features, read_torchvision_vit
from headstart.specs import to_spec
from headstart.weights import WORKS_OFFLINE, download_path, isolated, load_weights_file, weights_path
from headstart.weights_file import State, reason

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum


def from_torchvision(
    name: str,
    weights: WeightsFile | None = "DEFAULT",
    pooling: str | None = None,
    seed: int = 0,
    weights_key: str | None = None,
) -> Backbone:
    """The model `name` of torchvision.models: its features are what went into the last layer.

    `weights` is "DEFAULT" (the newest that torchvision has), the name of others such as "IMAGENET1K_V1", the path of
    a checkpoint of one's own, or None for random weights drawn from `seed`; for these two the preprocessing is that
    of the default ones. For `pooling` see `Pooled`.

    Raises:
        UserError: for an unknown name, weights that are unknown, cannot be downloaded, are damaged or don't fit,
            and a pooling that the network can't have.
    """
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        hint = f"{did_you_mean(name, names)}torchvision.models.list_models() returns all names"
        raise UserError(f"torchvision has no model {name!r}; {hint}")
    check_pooling(pooling)
    published = weights if weights in models.get_model_weights(name).__members__ else None
    file = weights_path(weights, published, weights_key)
    named = None if file else weights
    chosen = _choose(name, named or "DEFAULT")
    with isolated(seed):
        network: Any = _load(name, chosen) if named else models.get_model(name, **_options(name, chosen))
    classifier, num_features = _drop_classifier(network)
    if file:
        resize = partial(_resize_embeddings, network) if hasattr(network, "class_token") else None
        load_weights_file(network, file, [classifier], weights_key, resize, from_torchvision)
    if pooling:
        network, num_features = _pooled(network.eval(), pooling, _preprocessing(chosen).crop)
    weights = str(file) if file else weights and chosen.name  # not "DEFAULT", which may change
    arguments = {"weights": weights, "pooling": pooling, "seed": seed, "weights_key": weights_key}
    spec = to_spec(partial(from_torchvision, name=name, **arguments))
    return Backbone(network.eval(), num_features, _preprocessing(chosen), spec)


def _choose(name: str, weights: str) -> WeightsEnum:
    from torchvision.models import get_model_weights

    members = get_model_weights(name).__members__
    # Weights without categories (vgg16's IMAGENET1K_FEATURES) have NaN in the layers that make our features.
    usable = [key for key, member in members.items() if member.meta["categories"]]
    if weights not in usable:
        raise UserError(
            f"{name} has no weights {weights!r}; it has: {', '.join(usable)}, or null for random ones, or a file's path"
        )
    return members[weights]


def _options(name: str, default: WeightsEnum) -> dict[str, Any]:
    """What torchvision sets itself where it loads weights, so that random weights fill the same network."""
    if name.startswith("vit_"):
        return {"image_size": default.meta["min_size"][0]}
    if name in ("googlenet", "inception_v3"):
        return {"transform_input": True, "init_weights": True}
    return {}


def _load(name: str, weights: WeightsEnum) -> nn.Module:
    from torchvision.models import get_model

    file = download_path(weights.url)
    try:
        return get_model(name, weights=weights)
    except (OSError, RuntimeError, UnpicklingError, EOFError, TypeError) as error:
        if file.exists():
            advice = f"{file} does not hold the weights of {name}; delete it to download it again"
        else:
            advice = (
                f"{file.name} cannot be downloaded; get {weights.url} and put it into {file.parent}, "
                f"or choose another backbone: {WORKS_OFFLINE}"
            )
        raise UserError(f"{advice} ({reason(error)})") from error


def _drop_classifier(network: Any) -> tuple[str, int]:
    """Replace the last layer (in squeezenet a convolution) by nothing, and return its name and input width."""
    for auxiliary in ("aux1", "aux2", "AuxLogits"):  # of googlenet and inception_v3, for training from scratch
        if hasattr(network, auxiliary):
            setattr(network, auxiliary, None)
            network.aux_logits = False
    layers = [(path, m) for path, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    path, classifier = layers[-1]
    network.set_submodule(path, nn.Identity())
    return path, classifier.in_features if isinstance(classifier, nn.Linear) else classifier.in_channels


def _resize_embeddings(network: Any, state: State) -> State:
    from torchvision.models.vision_transformer import interpolate_embeddings

    return interpolate_embeddings(network.image_size, network.patch_size, OrderedDict(state))


def _pooled(network: Any, pooling: str, side: int) -> tuple[nn.Module, int]:
    """The network with another pooling, and its number of features; in a CNN its own pooling layer is replaced."""
    layer = getattr(network, "avgpool", None)
    if hasattr(network, "class_token"):
        network = Pooled(network, read_torchvision_vit, pooling)
    elif isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        network.avgpool = MapPooling(pooling)
    else:
        raise UserError(f"backbone.pooling: torchvision's {type(network).__name__} pools in its own way; try timm's")
    return network, count_features(network, side)


def _preprocessing(weights: WeightsEnum) -> Preprocessing:
    preset = weights.transforms()
    return Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
