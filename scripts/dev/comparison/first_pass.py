"""The pass through the backbone, against the ceiling that the forward pass and the decoding set."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from headstart.backbone import Backbone
from headstart.features.compute import FeaturePass
from headstart.features.fast_network import fold_batchnorms
from project.data.datamodule import ImageData

BATCHES = (8, 64)
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def measure_first_pass(
    images: ImageData, backbone: Backbone, trainer: Trainer, folder: Path, rounds: int, count: int = 512
) -> list[dict[str, float]]:
    """Images per second of the bare forward pass, the bare decoding and our pass, on the same images, in turns.

    The ceiling is what the first two allow: on a CPU they share the cores, beside another device they overlap.
    """
    device, everything = trainer.strategy.root_device, images.table
    assert everything is not None
    features = FeaturePass(images, backbone, trainer, folder, "stat")
    forward = fastest_forward(backbone, trainer)
    found = []
    try:
        for number in range(rounds + 1):
            assert everything is not None
            step = max(1, len(everything.train) // count)
            images.table = replace(everything, train=everything.train[number % step :: step][:count])
            size, features.folder = len(images.table.train), folder / str(number)
            bare_forward = forward(size)
            loader = images.loader("train", 0, range(size), device.type)
            bare_decode = size / _seconds(partial(list, loader))
            ours = size / _seconds(lambda: features.ensure([("train", 0)]))
            shared = 1 / (1 / bare_forward + 1 / bare_decode)
            ceiling = shared if device.type == "cpu" else min(bare_forward, bare_decode)
            found.append({"forward": bare_forward, "decode": bare_decode, "ceiling": ceiling, "ours": ours})
    finally:
        images.table = everything
    return found[1:]  # the first round warms up: threads, memory, folded weights


def fastest_forward(backbone: Backbone, trainer: Trainer) -> Callable[[int], float]:
    """The fastest way through the network for a batch in memory: from a number of images to images per second.

    Tried are the network as it is and folded, in both layouts, in float32 and the Trainer's precision, with few and
    many images at a time.
    """
    device, crop = trainer.strategy.root_device, backbone.preprocessing.crop
    folded = fold_batchnorms(backbone.network, torch.randn(2, 3, crop, crop))
    contexts = (
        [nullcontext] if trainer.precision == "32-true" else [nullcontext, trainer.precision_plugin.forward_context]
    )
    runs = []
    for network, layout, context, size in product((backbone.network, folded), LAYOUTS, contexts, BATCHES):
        batch = torch.randn(size, 3, crop, crop, device=device).contiguous(memory_format=layout)
        copy = deepcopy(network).to(memory_format=layout)  # pyright: ignore[reportCallIssue]
        runs.append(_forward(copy.to(device), batch, context))
    return max(runs, key=lambda run: run(2 * max(BATCHES)))


def _forward(network: nn.Module, batch: Tensor, context: Callable) -> Callable[[int], float]:
    def run(count: int) -> float:
        times = -(-count // len(batch))
        with torch.no_grad(), context():
            return times * len(batch) / _seconds(lambda: [network(batch) for _ in range(times)])

    return run


def _seconds(task: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    task()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started
