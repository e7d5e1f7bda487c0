"""The fastest that a machine can: bare forward passes by engine, and bare decoding by decoder."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Trainer
from PIL import Image
from simplejpeg import decode_jpeg
from torch import Tensor, nn
from torchvision import io

from headstart.backbone import Backbone
from headstart.features.engines import GROUP
from headstart.features.fast_network import fold_batchnorms
from headstart.images.decoding import read_image
from headstart.images.loading import threads
from headstart.images.transforms import ResizeAndCrop

BATCHES = (8, 64)
LAYOUTS = (torch.contiguous_format, torch.channels_last)
JPEG = (".jpg", ".jpeg")

Rate = Callable[[int], float]  # from a number of images to images per second


def forwards(backbone: Backbone, trainer: Trainer) -> dict[str, Rate]:
    """The fastest way through the network for a batch in memory, by engine.

    Tried are, by PyTorch, the network as it is and folded, in both layouts; on a CPU, by every other engine that is
    installed, the folded one; each in float32 and the Trainer's precision, with few and many images at a time.
    """
    device, crop = trainer.strategy.root_device, backbone.preprocessing.crop
    folded = fold_batchnorms(backbone.network, torch.randn(2, 3, crop, crop))
    precisions = [False] if trainer.precision == "32-true" else [False, True]
    lower = trainer.precision_plugin.forward_context
    by_engine = {"torch": []}
    for network, layout, low, size in product((backbone.network, folded), LAYOUTS, precisions, BATCHES):
        batch = torch.randn(size, 3, crop, crop, device=device).contiguous(memory_format=layout)
        copy = deepcopy(network).to(memory_format=layout)  # pyright: ignore[reportCallIssue]
        by_engine["torch"].append(partial(forward, copy.to(device), batch, lower if low else nullcontext))
    for point, low in product(_engines() if device.type == "cpu" else (), precisions):
        example = torch.randn(2, 3, crop, crop).contiguous(memory_format=torch.channels_last)
        network = point.load()(folded, example, low)
        rows = torch.randn(max(BATCHES), 3, crop, crop).contiguous(memory_format=torch.channels_last)
        batches = (rows[:size] for size in BATCHES)  # as a run has them: nothing is copied
        by_engine.setdefault(point.name, []).extend(partial(forward, network, batch, nullcontext) for batch in batches)
    return {engine: max(runs, key=lambda run: run(2 * max(BATCHES))) for engine, runs in by_engine.items()}


def _engines() -> list[EntryPoint]:
    """Those that are installed, and whose extra wasn't deleted."""
    extra = find_spec("headstart.extras.engines")
    return [point for point in entry_points(group=GROUP) if extra and find_spec(point.name)]


def forward(network: nn.Module, batch: Tensor, context: Callable, count: int) -> float:
    """Images per second of a network."""
    times = -(-count // len(batch))
    with torch.no_grad(), context():
        return times * len(batch) / seconds(lambda: [network(batch) for _ in range(times)])


def decoders(backbone: Backbone) -> dict[str, Callable[[Sequence[str]], float]]:
    """From paths to images per second that are decoded and resized on all cores, by decoder.

    All but headstart's own are the decoders alone, on JPEGs: nobody looks for an orientation or for damage. Other files
    are read as headstart does.
    """
    resize = ResizeAndCrop(backbone.preprocessing)
    ways = {
        "headstart": partial(read_image, shortest=resize.shortest),
        "torchvision": partial(io.decode_image, mode=io.ImageReadMode.RGB),
        "simplejpeg": _by_simplejpeg,
        "simplejpeg, scaled": partial(_by_simplejpeg, shortest=resize.shortest),
        "Pillow, draft": partial(_by_pillow, shortest=resize.shortest),
    }

    def rate(way: Callable[[str], Tensor], paths: Sequence[str]) -> float:
        def read(path: str) -> Tensor:
            return resize(way(path) if path.lower().endswith(JPEG) else ways["headstart"](path))

        return len(paths) / seconds(lambda: list(threads().map(read, paths)))

    return {name: partial(rate, way) for name, way in ways.items()}


def _by_simplejpeg(path: str, shortest: int = 0) -> Tensor:
    pixels = decode_jpeg(Path(path).read_bytes(), "RGB", min_height=shortest, min_width=shortest)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _by_pillow(path: str, shortest: int) -> Tensor:
    image = Image.open(BytesIO(Path(path).read_bytes()))
    image.draft("RGB", (shortest, shortest))
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def seconds(task: Callable[[], object]) -> float:
    """Seconds that a task takes, also on a GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    task()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
