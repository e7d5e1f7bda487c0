"""Whole runs as a user starts them, and what they are compared with, each in a process of its own."""

import json
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from comparison.table import spread
from headstart.resume.stored_config import merge_overrides
from project.data.datamodule import ImageData
from project.model.classifier import Classifier

PROJECT_DIR = Path(__file__).parents[3]
EPOCHS = 20
ACCURACY = "_accuracy"
HEADS = ("model.lr=0.0005,0.001,0.002,0.004,0.008", "model.weight_decay=0,0.01,0.1,1")  # a sweep of 20
# What the plain loop comes to after 20 epochs, seen on features: with a frozen network it is the same training.
AS_PLAIN = [
    "solver=adamw", "head=linear", "head.norm=none", "model.optimizer._target_=torch.optim.Adam", "model.lr=0.001",
    "model.weight_decay=0", "model.scheduler=null", "callbacks=none",
]  # fmt: skip
AS_TUNED = [
    "solver=adamw", "features.cache=false", "callbacks=none", "trainer.max_epochs=1",
    "+trainer.num_sanity_val_steps=0",
]  # fmt: skip


def in_turns(
    images: ImageData,
    model: Classifier,
    overrides: list[str],
    scratch: Path,
    rounds: int,
    accelerator: str,
    say: Callable[[str], None],
) -> dict[str, list[float]]:
    """Seconds of everything that a process is started for, by name, round by round; and test accuracies."""
    found: dict[str, list[float]] = defaultdict(list)

    def note(name: str, value: float) -> None:
        found[name].append(value)
        say(f"{name}: {value:.4g}")

    for number in range(rounds):
        folder = scratch / f"round-{number}"
        folder.mkdir()
        note("imports", imports())
        for name in ("cold", "warm"):
            seconds, accuracy = train(overrides, folder)
            note(name, seconds)
            note(name + ACCURACY, accuracy)
        note("plain" + ACCURACY, train(merge_overrides(overrides, AS_PLAIN), folder)[1])
        shutil.rmtree(folder / "features")
        shutil.rmtree(folder / "checked")
        note("sweep", sweep(overrides, folder))
        note("plain_epoch", plain_epoch(images, model, accelerator))
        note("tuned_epoch", tuned_epoch(overrides, folder))
    return found


def ratios(
    whole: dict[str, list[float]], passes: list[dict[str, float]], epochs: list[dict[str, float]]
) -> dict[str, Any]:
    """Every ratio of the benchmark by name, as median, lowest and highest of the rounds, and the raw values."""
    cold = whole["cold"]
    return {
        "first_pass_vs_ceiling": spread([found["ours"] / found["ceiling"] for found in passes]),
        "cold_vs_plain": spread([EPOCHS * a / b for a, b in zip(whole["plain_epoch"], cold, strict=True)]),
        "cold_vs_tuned": spread([EPOCHS * a / b for a, b in zip(whole["tuned_epoch"], cold, strict=True)]),
        "warm_vs_imports": spread([a / b for a, b in zip(whole["warm"], whole["imports"], strict=True)]),
        "sweep_vs_one": spread([a / b for a, b in zip(whole["sweep"], cold, strict=True)]),
        "head_epoch_vs_bare": spread([found["ours"] / found["bare"] for found in epochs]),
        "seconds": {name: values for name, values in whole.items() if not name.endswith(ACCURACY)},
        "test_accuracy": {
            name.removesuffix(ACCURACY): values for name, values in whole.items() if name.endswith(ACCURACY)
        },
        "first_pass": passes,
        "head_epoch": epochs,
    }


def seconds_of(command: Sequence[str], cwd: Path | None = None) -> float:
    """How long a process takes from its start to its end; raises RuntimeError with its last words when it fails."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=cwd, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return seconds


def imports() -> float:
    """Seconds for importing torch and lightning, alone."""
    return seconds_of(["-c", "import torch, lightning"])


def train(overrides: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and test accuracy of one run, with its features in `folder` and all that it leaves behind in there."""
    run_dir = folder / f"run-{len(list(folder.iterdir()))}"
    seconds = seconds_of([*_command(overrides, folder), f"hydra.run.dir={run_dir}"])
    return seconds, json.loads((run_dir / "results.json").read_text())["metrics"]["test/accuracy"]


def sweep(overrides: list[str], folder: Path) -> float:
    """Seconds of a sweep over 20 heads, with its features in `folder`."""
    script, *others = _command(overrides, folder)
    return seconds_of(
        [script, "-m", *merge_overrides(others, ["solver=adamw"]), *HEADS, f"hydra.sweep.dir={folder / 'sweep'}"]
    )


def plain_epoch(images: ImageData, model: Classifier, accelerator: str) -> float:
    """Seconds of one epoch of the plain Lightning loop on the same images and backbone."""
    table = images.table
    assert table is not None
    task = {
        "backbone": model.pretrained.spec,
        "preprocessing": asdict(model.pretrained.preprocessing),
        "num_classes": len(table.classes),
        "train": table.train,
        "val": table.val,
        "accelerator": accelerator,
    }
    command = [sys.executable, str(Path(__file__).with_name("plain_loop.py"))]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the plain loop failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def tuned_epoch(overrides: list[str], folder: Path) -> float:
    """Seconds of an epoch of our own loop without the cache: bf16 where there is some, channels_last, fast decoding."""
    train(merge_overrides(overrides, AS_TUNED), folder)
    newest = max(folder.glob("run-*/results.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text())["seconds"]["fit"]


def _command(overrides: list[str], folder: Path) -> list[str]:
    caches = [f"features.dir={folder / 'features'}", f"data.checked_dir={folder / 'checked'}"]
    caches = caches[1:] if "features.cache=false" in overrides else caches  # which would be refused
    return [str(PROJECT_DIR / "train.py"), *overrides, *caches]
