"""What the tests share: a few small images, and the real train.py in this process or in one of its own."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runs import ROOT, TINY, Train
from trained import train_once

os.environ["OMP_NUM_THREADS"] = "1"  # the suite runs on all cores already; before torch is imported
os.environ["WANDB_MODE"] = "offline"

import numpy as np
import pytest
import torch
from hydra.utils import execution_whitelist
from PIL import Image, ImageColor

from headstart.resume import trusted
from project import TRUSTED

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def as_a_job_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `instantiate` may make; and nothing that tests type is remembered in this checkout."""
    monkeypatch.setattr(trusted, "TYPED", tmp_path / ".typed")
    with execution_whitelist(TRUSTED):
        yield


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of somebody whom permissions bind, as they don't bind root."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        os.seteuid(user)


@pytest.fixture(scope="session")
def slurm_cluster() -> None:
    """For a test that hands jobs to a real SLURM: one that is installed and runs."""
    if not shutil.which("sbatch"):
        pytest.skip("there is no sbatch: no SLURM here")
    answer = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True)
    if not {"idle", "mixed", "allocated"} & set(answer.stdout.split()):
        pytest.skip(f"no SLURM answers: {answer.stderr.strip()}")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train/, val/ and test/, and ten classes below each, which are colours; 80 noisy images in all."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for colour in ("black", "blue", "brown", "cyan", "gold", "green", "grey", "pink", "red", "white"):
            (root / split / colour).mkdir(parents=True)
            for number in range(count):
                noise = rng.normal(ImageColor.getrgb(colour), 60, (8, 8, 3))  # coarse, as a network sees little of fine
                image = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize((96, 96))
                image.save(root / split / colour / f"{number:04d}.jpg")
    return root


@pytest.fixture(scope="session")
def huggingface_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny vision transformer of transformers, its random weights and its image processor."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    folder = tmp_path_factory.mktemp("huggingface") / "vit"
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    network = ViTModel(ViTConfig(image_size=32, patch_size=8, **sizes), add_pooling_layer=False)
    network.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """The folder of a run on the few images, for tests that look at one and change nothing in it."""
    return train_once(tmp_path_factory.mktemp("run"), images)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in: logs/ and data/ end up there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def train(workdir: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Run the real train.py in this process, on a few images unless told which; returns all runs' folders by now."""

    def run(*overrides: str, tiny: bool = True) -> list[Path]:
        data = ["data=folder", f"data.root={images}"]
        flags = [override for override in overrides if override.startswith("-")]  # Hydra wants them first
        overrides = tuple(override for override in overrides if not override.startswith("-"))
        if any(override.startswith("data=") for override in overrides):
            data = []
        arguments = [*flags, *data, *(TINY if tiny else ()), *overrides]
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        return sorted(path.parent for path in workdir.glob("logs/**/.hydra"))

    return run


@pytest.fixture
def cli(workdir: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one of the project's scripts in a process of its own, as a user does."""

    def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / script), *arguments],
            capture_output=True,
            text=True,
            cwd=workdir,
            env=os.environ | environment,
            timeout=300,
        )

    return run
