"""The pass through the backbone, against the ceiling that the forward pass and the decoding set."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from headstart.backbone import Backbone
from headstart.features.compute import FeaturePass
from project.data.datamodule import ImageData

from .ceiling import decoders, forwards, seconds


def measure_first_pass(
    images: ImageData, backbone: Backbone, trainer: Trainer, folder: Path, rounds: int, engine: str, count: int = 512
) -> list[dict[str, Any]]:
    """Images per second of bare forward passes, of bare decoding, and of our pass, on the same images, in turns.

    The ceiling is what the fastest of each allow, whichever our pass uses: on a CPU they share the cores, beside
    another device they overlap.
    """
    device, everything = trainer.strategy.root_device, images.table
    assert everything is not None
    features = FeaturePass(images, backbone, trainer, folder, "stat", engine)
    ways, readers = forwards(backbone, trainer), decoders(backbone)
    found = []
    try:
        for number in range(rounds + 1):
            step = max(1, len(everything.train) // count)
            images.table = replace(everything, train=everything.train[number % step :: step][:count])
            paths = [sample.path for sample in images.table.train]
            features.folder = folder / str(number)
            passes = {name: way(len(paths)) for name, way in ways.items()}
            decoded = {name: reader(paths) for name, reader in readers.items()}
            ours = len(paths) / seconds(lambda: features.ensure([("train", 0)]))
            forward, decode = max(passes.values()), max(decoded.values())
            ceiling = 1 / (1 / forward + 1 / decode) if device.type == "cpu" else min(forward, decode)
            found.append({"forward": passes, "decode": decoded, "ceiling": ceiling, "ours": ours})
    finally:
        images.table = everything
    return found[1:]  # the first round warms up: threads, memory, folded and converted weights
