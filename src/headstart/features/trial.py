"""What another engine is worth beside PyTorch for one network on this machine: measured once, and remembered."""

import hashlib
import json
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import write_atomically
from ..machine import usable_cores

Make = Callable[[nn.Module, Tensor, bool], nn.Module]  # of (network, normalised images, bf16) another such network

MEMORY = "engines.json"  # beside the features
FEW = 8  # images that are enough to time even a network that computes less than that in a second
SAME = 1e-4  # in float32, of the length of the features; OpenVINO comes to 2e-6
NOISE = 2.0  # in bfloat16, times PyTorch's own distance from float32


@dataclass(frozen=True)
class Trial:
    """Images per second by PyTorch and by the engine, the seconds that converting took, or why it can't be used."""

    torch: float = 0.0
    engine: float = 0.0
    seconds: float = 0.0
    problem: str = ""

    def pays(self, count: int) -> bool:
        """Whether `count` images take less time with the engine, converting included."""
        return not self.problem and count * (self.engine - self.torch) > self.seconds * self.engine * self.torch


def try_engine(make: Make, network: nn.Module, images: Tensor, bf16: bool) -> tuple[Trial, nn.Module | None]:
    """What `make` is worth for a frozen network on the CPU, compared on normalised images, and what it made.

    That is None where it fails or computes other features.
    """
    beside, wanted = timed(network, images, bf16)
    started = time.perf_counter()
    try:
        made = make(network, images[:2], bf16)
        seconds = time.perf_counter() - started
        rate, found = timed(made, images, bf16=False)
    except Exception as error:  # of a tracer, of a runtime, of any operation that it doesn't know
        return Trial(beside, problem=(str(error).strip() or type(error).__name__).splitlines()[0]), None
    problem = _problem(network, images[:FEW], wanted[:FEW], found[:FEW], bf16)
    return Trial(beside, rate, seconds, problem), None if problem else made


@torch.no_grad()
def timed(network: nn.Module, images: Tensor, bf16: bool) -> tuple[float, Tensor]:
    """Images per second, and their features; the first call prepares what later ones use."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        features = network(images).float()
        started = time.perf_counter()
        network(images)
        return len(images) / (time.perf_counter() - started), features


def _problem(network: nn.Module, images: Tensor, wanted: Tensor, found: Tensor, bf16: bool) -> str:
    """Why features that were `found` can't stand in for those that PyTorch computes; empty where they can."""
    exact = timed(network, images, bf16=False)[1] if bf16 else wanted
    limit = NOISE * difference(wanted, exact) if bf16 else SAME
    if found.shape != exact.shape:
        return f"its features have the shape {tuple(found.shape)}, PyTorch's {tuple(exact.shape)}"
    off = difference(found, exact)
    return "" if off <= limit else f"its features differ by {off:.1e}, more than {limit:.1e}"


def difference(some: Tensor, others: Tensor) -> float:
    """The largest distance between an image's features, relative to their length; infinite for what is no number."""
    distance = (some - others).norm(dim=1) / others.norm(dim=1)
    return float(distance.nan_to_num(torch.inf).max())


def key_of(name: str, network: nn.Module, images: Tensor, bf16: bool) -> str:
    """What a trial is remembered by: machine, versions (in `name`), precision, architecture and size of the images."""
    shapes = [(key, tuple(tensor.shape)) for key, tensor in network.state_dict().items()]
    text = f"{images.shape[1:]} {network} {shapes}"
    precision = "bf16" if bf16 else "float32"
    return f"{name}, {precision}, {machine()}: {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def machine() -> str:
    """The CPU and how many of its cores are used."""
    model = ""
    with suppress(OSError):  # Linux alone has this file
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{usable_cores()} cores of {model or platform.processor() or platform.machine()}"


def recall(folder: Path) -> dict[str, Trial]:
    """All trials that were remembered; none where the file is gone, or isn't one of ours."""
    try:
        return {key: Trial(**values) for key, values in json.loads((folder / MEMORY).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(folder: Path, key: str, trial: Trial) -> None:
    """Add a trial to them, if the folder is there and can be written to."""
    if folder.is_dir():
        trials = {name: asdict(one) for name, one in (recall(folder) | {key: trial}).items()}
        with suppress(OSError):
            write_atomically(folder / MEMORY, json.dumps(trials, indent=2))
