"""config.json and preprocessor_config.json: as timm and as transformers' image processors have them on the Hub."""

import json
import math
from pathlib import Path
from typing import Any

from torch import nn

from ....backbone import Preprocessing
from ....errors import printable
from ..plain import Plain

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
OURS = "headstart"  # the key in config.json of what only load.py reads, and by which a folder is known for ours
RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}  # Pillow's numbers


def loads_in_timm(plain: Plain) -> bool:
    """Whether `timm.create_model` makes the whole network: not with a head of several layers."""
    network: Any = plain.network
    if plain.library != "timm":
        return False
    return isinstance(network.get_submodule(network.pretrained_cfg["classifier"]), nn.Linear)


def write_config(folder: Path, plain: Plain, known: dict[str, Any], temperature: float) -> None:
    """Write config.json, of what `about` knows; class names as text that is valid everywhere.

    timm has its own written by timm, along with the weights.
    """
    labels = [printable(name) for name in known["classes"]]
    kept = {key: value for key, value in known.items() if key != "classes"}
    ours = {OURS: kept | {"library": plain.library or "torch.export", "temperature": temperature}}
    if loads_in_timm(plain):
        _write_as_timm(folder, plain.network, labels, known, ours)
    else:
        content = {"num_classes": len(labels), "label_names": labels, **ours}
        (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n")


def _write_as_timm(folder: Path, network: Any, labels: list[str], known: dict[str, Any], ours: dict[str, Any]) -> None:
    from timm.models import save_for_hf

    said = known["preprocessing"]
    resize = said["resize"] if isinstance(said["resize"], int) else said["resize"][0]
    images = {
        "input_size": [3, said["crop"], said["crop"]],
        "crop_pct": crop_fraction(resize, said["crop"]),
        "crop_mode": "center" if isinstance(said["resize"], int) else "squash",
        "interpolation": said["interpolation"],
        "mean": said["mean"],
        "std": said["std"],
    }
    # What timm knows of the weights that it has itself for this architecture holds for ours no more.
    others = dict.fromkeys(("tag", "license", "test_input_size", "test_crop_pct", "origin_url", "paper_ids"))
    own = {"label_names": labels, "pretrained_cfg": others | images, **ours}
    save_for_hf(network, str(folder), own, safe_serialization=True)


def crop_fraction(resize: int, crop: int) -> float:
    """timm's `crop_pct`, of which it makes the same `resize` again by `floor(crop / crop_pct)`."""
    fraction = crop / resize
    return fraction if math.floor(crop / fraction) == resize else math.nextafter(fraction, 0)


def write_preprocessor(folder: Path, said: Preprocessing) -> None:
    """Write preprocessor_config.json: resize, centre crop, mean and standard deviation for transformers."""
    if isinstance(said.resize, int):
        size = {"shortest_edge": said.resize}
    else:
        size = {"height": said.resize[0], "width": said.resize[1]}
    content = {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": size,
        "resample": RESAMPLE[said.interpolation],
        "do_center_crop": True,
        "crop_size": {"height": said.crop, "width": said.crop},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(said.mean),
        "image_std": list(said.std),
    }
    (folder / PREPROCESSOR).write_text(json.dumps(content, indent=2) + "\n")
