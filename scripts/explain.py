"""Walk one image through every step: `python scripts/explain.py data=folder data.root=PATH` takes what train.py takes.

For each step: what comes out of it (shape, type, range), how long that takes for one image, and the file that does it.
"""

import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Column, Table

from headstart.errors import UserError, readable_errors
from headstart.machine import prepare_process, quick_imports, terminal
from headstart.resume.command_line import check, composed
from project import TRUSTED

ROOT = Path(__file__).parents[1]


class Steps:
    """A table with a row a step; what a step returns is shown and handed on."""

    def __init__(self) -> None:
        self.table = Table("step", "shape", "type", "from", "to", "ms", Column("where", overflow="fold"))

    def step(self, name: str, module: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function` on `arguments`, and note what came out; `module` is where it is done."""
        started = time.perf_counter()
        value = function(*arguments)
        milliseconds = f"{1000 * (time.perf_counter() - started):.1f}"
        shape, kind = " x ".join(map(str, value.shape)), str(value.dtype).removeprefix("torch.")
        self.table.add_row(
            name, shape, kind, *(f"{float(end):.4g}" for end in value.aminmax()), milliseconds, file_of(module)
        )
        return value


def file_of(module: str) -> str:
    """The file of a module of the project; of a library's, its name."""
    path = Path("src", *module.split(".")).with_suffix(".py")
    return str(path) if (ROOT / path).exists() else module


def main(arguments: list[str]) -> None:
    """Compose the config, and walk."""
    console = terminal(width=None if sys.stdout.isatty() else 140)
    if {"-h", "--help"} & set(arguments):
        console.print(__doc__)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with composed([*arguments, "run_dir=logs/explain", "sweep_dir=null"], TRUSTED) as cfg:
        check(cfg)
        walk(cfg, console)


def walk(cfg: DictConfig, console: Console) -> None:
    """Build what a run would build, walk the first training image through it, and print the table."""
    with quick_imports():
        import torch

        from headstart.backbone import compute_features, normalise
        from headstart.images.decoding import read_image
        from headstart.images.transforms import RandomView, ResizeAndCrop
        from project import build

    prepare_process()
    images = build.images(cfg)
    model = build.model(cfg, images).eval()
    if images.table is None or not images.table.train:
        raise UserError("there is no image to walk through: the choice of data knows none before it is read")
    path, label = images.table.train[0]
    steps, preprocessing = Steps(), model.pretrained.preprocessing
    view = RandomView(preprocessing, images.augment)
    image = steps.step("decode", read_image.__module__, partial(read_image, shortest=view.shortest), path)
    if images.augment.varies:
        image = steps.step("augment", RandomView.__module__, view, image, 0)
    else:
        image = steps.step("resize and crop", ResizeAndCrop.__module__, view.plain, image)
    batch = steps.step("batch", type(images).__module__, image.unsqueeze, 0)
    steps.step("normalise", normalise.__module__, normalise, batch, model.mean, model.std)
    backbone, head = (node._target_.rpartition(".")[0] for node in (cfg.backbone, cfg.head))
    features = steps.step("backbone", backbone, compute_features, model.backbone, batch, model.mean, model.std)
    with torch.no_grad():
        logits = steps.step("head", head, model, features)
        steps.step("probabilities", type(model).__module__, logits.softmax, 1)
    console.print(f"{path}: class {label} of {len(model.classes)}, {model.classes[label]}", steps.table, sep="\n")


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
