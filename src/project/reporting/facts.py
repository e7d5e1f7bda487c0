"""What a run was made with: images, versions, hardware, and the code's commit."""

import platform
import subprocess
from collections import Counter
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from headstart import __version__
from headstart.images.table import SPLITS, ImageTable
from headstart.machine import usable_cores

PACKAGES = ("torch", "torchvision", "lightning", "timm", "torchmetrics", "hydra-core")
SAMPLES, GIB = 24, 2**30


def images_of(table: ImageTable | None) -> dict[str, Any]:
    """How many `images` each class has, by split in label order, and `samples` of the training, as [path, label]."""
    samples = {split: table.part(split) for split in SPLITS} if table else {}
    counts = {split: Counter(sample.label for sample in part) for split, part in samples.items() if part}
    classes = range(len(table.classes)) if table else ()
    train = samples.get("train", ())
    some = [train[len(train) * number // SAMPLES] for number in range(min(SAMPLES, len(train)))]
    images = {split: [found[label] for label in classes] for split, found in counts.items()}
    return {"images": images, "samples": [list(sample) for sample in some]}


def hardware(trainer: Trainer) -> dict[str, Any]:
    """The devices, their number and precision, the processor and its cores, the memory in GiB, and the system."""
    device = trainer.strategy.root_device
    found = {"device": device.type, "devices": trainer.world_size, "precision": str(trainer.precision)}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"device": properties.name, "device_memory": round(properties.total_memory / GIB, 1)}
        found["device_memory_used"] = round(torch.cuda.max_memory_allocated(device) / GIB, 1)
    return found | {"processor": _processor(), "cores": usable_cores(), "system": platform.platform(terse=True)}


@cache
def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def versions() -> dict[str, str]:
    """Those of Python and of the packages that decide what comes out."""
    own = {"python": platform.python_version(), "headstart": __version__}
    return own | {name: version(name) for name in PACKAGES}


@cache  # the jobs of a sweep run the same code
def git_commit() -> str | None:
    """The commit that is checked out here, with `-dirty` after it when files differ; None outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
