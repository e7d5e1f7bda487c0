"""What an engine is worth beside PyTorch: `python scripts/dev/engines.py efficientnet_lite0 resnet18 ...`.

Prints a row for each backbone, with random weights where its own would have to be fetched: images per second of folded
PyTorch and of OpenVINO, measured in turns, the seconds that converting takes, and how far the features are from
PyTorch's in float32, in parts of their length.
"""

import sys
import time
from statistics import median

import torch

from headstart.backbone import Backbone
from headstart.extras.engines.openvino import OpenVino
from headstart.features.fast_network import fold_batchnorms
from headstart.features.trial import FEW, difference, machine, timed
from headstart.machine import best_precision, prepare_process, terminal
from headstart.resume.command_line import composed
from project import TRUSTED, build

ROUNDS, IMAGES = 3, 64
ROW = "| {:22} | {:8} | {:>7} | {:>8} | {:>5} | {:>7} | {:>8} | {:>8} |"


def main(names: list[str]) -> None:
    """A row for each backbone and precision."""
    prepare_process()
    say = terminal(soft_wrap=True).print
    say(f"{machine()}, torch {torch.__version__}")
    say(ROW.format("backbone", "", "PyTorch", "OpenVINO", "ratio", "seconds", "PyTorch", "OpenVINO"))
    for name in names:
        own = [] if name.startswith("efficientnet") else ["backbone.weights=null"]
        choice, *more = name.split(",")
        with composed([f"backbone={choice}", *more, *own], TRUSTED) as cfg:
            backbone = build.backbone(cfg)
        for bf16 in (False, True) if best_precision("cpu") == "bf16-mixed" else (False,):
            say(row(name, backbone, bf16))


def row(name: str, backbone: Backbone, bf16: bool) -> str:
    """What is measured of a backbone in one precision."""
    network = fold_batchnorms(backbone.network, backbone.preprocessing.example()).to(memory_format=torch.channels_last)
    crop = backbone.preprocessing.crop
    images = torch.randn(IMAGES, 3, crop, crop, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    started = time.perf_counter()
    try:
        made = OpenVino(network, images[:2], bf16)
    except Exception as error:
        return f"| {name} | stays with PyTorch: {str(error).strip().splitlines()[0]} |"
    seconds = time.perf_counter() - started
    rate, exact = timed(network, images[:FEW], bf16=False)
    images = images[: max(FEW, int(rate))]  # a second of PyTorch's time
    pairs = [(timed(network, images, bf16), timed(made, images, bf16=False)) for _ in range(ROUNDS)]
    beside, rate = (median(rates) for rates in zip(*((one[0], other[0]) for one, other in pairs), strict=True))
    ratio = median(other[0] / one[0] for one, other in pairs)
    off = [f"{difference(features[:FEW], exact):.0e}" for features in (pairs[0][0][1], pairs[0][1][1])]
    precision = "bf16" if bf16 else "float32"
    return ROW.format(name, precision, f"{beside:.0f}", f"{rate:.0f}", f"{ratio:.2f}", f"{seconds:.1f}", *off)


if __name__ == "__main__":
    main(sys.argv[1:])
