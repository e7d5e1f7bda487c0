"""Loads the model in this folder: `from load import load; load().predict(["image.jpg"])`.

It needs torch, torchvision, safetensors and Pillow, and timm where that has the architecture (see README.md).
"""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812 (the name everybody gives it)

HERE = Path(__file__).parent
BATCH_SIZE = 32
MAX_ASPECT_RATIO = 4
FLIPS = {2: (-1,), 3: (-1, -2), 4: (-2,), 5: (), 6: (-1,), 7: (-1, -2), 8: (-2,)}  # from 5 on, after a transposition


def load(calibrated: bool = False, device: str = "cpu") -> "Model":
    """The trained model; `calibrated` divides its logits by the temperature in config.json."""
    config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
    if (HERE / "model.pt2").exists():
        network: Any = torch.export.load(HERE / "model.pt2").module()
    else:
        network = architecture()
        network.load_state_dict(load_file(HERE / "model.safetensors"))
        network.eval()
    return Model(network.to(device), config, calibrated, device)


class Model:
    """What the model says about images: `classes` in the order of its logits, `preprocessing` as it was trained.

    `network` maps normalised float images [batch, 3, crop, crop] to logits [batch, classes].
    """

    def __init__(self, network: nn.Module, config: dict[str, Any], calibrated: bool, device: str) -> None:
        self.network, self.device = network, device
        self.classes: list[str] = config["label_names"]
        self.preprocessing: dict[str, Any] = config["headstart"]["preprocessing"]
        self.temperature: float = config["headstart"]["temperature"] if calibrated else 1.0

    def predict(self, images: Sequence[str | Path | Image.Image]) -> list[tuple[str, float]]:
        """The likeliest class of each image, and its probability; raises ValueError for what is no whole image."""
        best = self.probabilities(images).max(dim=1)
        return [(self.classes[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]

    @torch.no_grad()
    def probabilities(self, images: Sequence[str | Path | Image.Image]) -> Tensor:
        """Of each class, float32 [images, classes]; images are paths or PIL images of any size."""
        found = [torch.zeros(0, len(self.classes))]
        for first in range(0, len(images), BATCH_SIZE):
            batch = torch.stack([self.prepare(image) for image in images[first : first + BATCH_SIZE]])
            found.append((self.network(batch.to(self.device)).float() / self.temperature).softmax(dim=1).cpu())
        return torch.cat(found)

    def prepare(self, image: str | Path | Image.Image) -> Tensor:
        """Resized, cropped and normalised: float32 [3, crop, crop]."""
        pixels, said = read(image), self.preprocessing
        height, width = pixels.shape[-2:]
        size = said["resize"] if isinstance(said["resize"], list) else [said["resize"]]
        if len(size) == 1:  # the centre crop drops the ends anyway
            longest = MAX_ASPECT_RATIO * min(height, width)
            pixels = F.center_crop(pixels, [min(height, longest), min(width, longest)])
        pixels = F.resize(pixels, size, InterpolationMode(said["interpolation"]), antialias=True)
        pixels = F.center_crop(pixels, [said["crop"], said["crop"]])
        mean, std = (torch.tensor(said[key]).view(3, 1, 1) * 255 for key in ("mean", "std"))
        return (pixels - mean) / std


def read(image: str | Path | Image.Image) -> Tensor:
    """An image as uint8 [3, height, width], upright by its Exif; raises ValueError for what is no whole image."""
    if isinstance(image, Image.Image):
        return _to_tensor(image)
    content = Path(image).read_bytes()
    try:
        with Image.open(BytesIO(content)) as opened:
            pixels = _decode_jpeg(content) if content.startswith(b"\xff\xd8\xff") else _to_tensor(opened)
            orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise ValueError(f"{image} can't be decoded: {error}") from error
    if orientation not in FLIPS:
        return pixels
    return (pixels.mT if orientation >= 5 else pixels).flip(FLIPS[orientation])


def _decode_jpeg(content: bytes) -> Tensor:
    decoded = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
    assert isinstance(decoded, Tensor)  # a list comes only for a list
    return decoded


def _to_tensor(image: Image.Image) -> Tensor:
    """In 8-bit RGB; transparent images are laid on white."""
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        raise ValueError(f"its values have more than 8 bits (Pillow's mode {image.mode}): save it in 8 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def architecture() -> nn.Module:
    """The network that the weights in model.safetensors belong to, untrained."""
    raise NotImplementedError("written into this file as a model is published")
