"""A trained classifier as one plain network of timm's or torchvision's, loaded without anything of headstart."""

import re
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4  # of the largest logit; another pooling or preprocessing changes far more


class Plain(NamedTuple):
    """`network` maps normalised float images [batch, 3, crop, crop] to logits [batch, classes].

    `code` are the lines of Python that make the same architecture as `model`, untrained, with `library` (timm or
    torchvision) and PyTorch alone; both are empty for any other network, which needs what it was made by.
    """

    network: nn.Module
    library: str = ""
    code: str = ""


@torch.no_grad()
def plain_network(model: Any) -> Plain:
    """The classifier `model` (a backbone, a head, classes and preprocessing) as a plain network, in eval mode.

    The head takes the place of the architecture's own classifier; adapters are merged into the weights. What comes out
    is compared with the model's own logits: a network whose architecture was changed is no plain one, and is returned
    as it is, followed by its head.
    """
    backbone, head = merged(model.backbone), flat(model.head)
    whole = nn.Sequential(backbone, head).cpu().eval()
    images = model.preprocessing.example()
    for build in (_of_timm, _of_torchvision):
        made = build(backbone, head, dict(model.pretrained.spec), len(model.classes))
        if made and _same(made.network.eval()(images), whole(images)):
            return made
    return Plain(whole)


def merged(network: nn.Module) -> nn.Module:
    """A copy of `network` on the CPU, without adapters: what they add is in the weights (as in peft's layers)."""
    copy: Any = deepcopy(network).cpu().eval()
    for name, layer in [*copy.named_modules()]:
        if hasattr(layer, "get_base_layer") and hasattr(layer, "merge"):
            layer.merge()
            copy.set_submodule(name, layer.get_base_layer())
    return copy


def flat(head: nn.Module) -> nn.Module:
    """A copy of a head without what does nothing in it: a single layer, where no other is left."""
    copy = deepcopy(head).cpu().eval()
    if not isinstance(copy, nn.Sequential):
        return copy
    layers = [layer for layer in copy if not isinstance(layer, nn.Identity)]
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def _of_timm(backbone: Any, head: nn.Module, spec: dict[str, Any], classes: int) -> Plain | None:
    if not type(backbone).__module__.startswith("timm.") or not hasattr(backbone, "default_cfg"):
        return None
    import timm

    size = (
        {"img_size": spec["image_size"]} if spec.get("image_size") and backbone.default_cfg["fixed_input_size"] else {}
    )
    name = backbone.default_cfg["architecture"]
    network: Any = timm.create_model(name, num_classes=classes, **size)
    options = "".join(f", {key}={value}" for key, value in size.items())
    code = f'import timm\nfrom torch import nn\n\nmodel = timm.create_model("{name}", num_classes={classes}{options})'
    place = backbone.default_cfg["classifier"]
    places = (place,) if isinstance(place, str) else tuple(place)  # distilled ones have two, and take the mean
    return _with_head(network, backbone, head, places, "timm", code)


def _of_torchvision(backbone: Any, head: nn.Module, spec: dict[str, Any], classes: int) -> Plain | None:
    if not type(backbone).__module__.startswith("torchvision."):
        return None
    from torchvision.models import get_model, list_models

    if spec.get("name") not in list_models():  # an owner's own, of torchvision's parts
        return None
    options: dict[str, Any] = {"image_size": backbone.image_size} if hasattr(backbone, "image_size") else {}
    if hasattr(backbone, "aux_logits"):
        options = {"aux_logits": False, "init_weights": False, "transform_input": backbone.transform_input}
    network = get_model(spec["name"], num_classes=classes, **options)
    said = "".join(f", {key}={value}" for key, value in options.items())
    code = f'from torch import nn\nfrom torchvision.models import get_model\n\nmodel = get_model("{spec["name"]}", '
    place = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    return _with_head(network, backbone, head, (place,), "torchvision", f"{code}num_classes={classes}{said})")


def _with_head(
    network: nn.Module, backbone: nn.Module, head: nn.Module, places: tuple[str, ...], library: str, code: str
) -> Plain | None:
    """`network` with all weights, and the head in the place of its classifier; None where it doesn't fit there."""
    if not all(isinstance(network.get_submodule(place), nn.Linear) for place in places) or not _of_torch(head):
        return None
    if _kinds(network, places) != _kinds(backbone, places):  # another pooling, say, which random weights may hide
        return None
    for place in places:
        if not isinstance(head, nn.Linear):
            attribute = re.sub(r"\.(\d+)", r"[\1]", place)  # classifier.3 is no Python
            code += f"\nmodel.{attribute} = {as_code(head)}"
        network.set_submodule(place, deepcopy(head))
    try:
        missing, unexpected = network.load_state_dict(backbone.state_dict(), strict=False)
    except RuntimeError:  # other shapes: an owner's own network of that name
        return None
    fits = not unexpected and all(name.startswith(tuple(f"{place}." for place in places)) for name in missing)
    return Plain(network.eval(), library, code) if fits else None


def _kinds(network: nn.Module, places: tuple[str, ...]) -> dict[str, type]:
    """The layers by name, but for those in the places of a classifier."""
    inside = tuple(f"{place}." for place in places)
    return {name: type(layer) for name, layer in network.named_modules() if not f"{name}.".startswith(inside)}


def as_code(module: nn.Module) -> str:
    """The expression that makes layers of torch.nn, which show themselves as they are called."""
    if isinstance(module, nn.Sequential):
        return f"nn.Sequential({', '.join(map(as_code, module))})"
    return f"nn.{module!r}".replace("affine=False, bias=False", "affine=False")  # which an older PyTorch doesn't take


def _of_torch(module: nn.Module) -> bool:
    return all(type(part).__module__.startswith("torch.nn.") for part in module.modules())


def _same(found: Tensor, wanted: Tensor) -> bool:
    return bool((found - wanted).abs().max() <= TOLERANCE * wanted.abs().max().clamp(min=1))
