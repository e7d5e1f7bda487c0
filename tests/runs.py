"""Real runs of train.py, for the tests: compose, start, stop, go on with and compare them."""

import json
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf

from headstart.resume.implied import imply
from headstart.tracking.history import History

ROOT = Path(__file__).parents[1]
TINY = (  # a network and a few images that make a real run of seconds; nothing is learned from random weights
    "backbone=torchvision",
    "backbone.name=mobilenet_v3_small",
    "backbone.weights=null",
    "data.num_workers=0",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "progress=none",
    "plots=false",  # which take longer than such a run
)

CONF = ROOT / "conf"
FILES = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.rglob("*.yaml"))
CHOICES = [path for path in FILES if not path.name.startswith("_")]  # what choices share is no choice of its own
OF_EXTRAS = (
    *("backbone=huggingface", "data=huggingface", "data=torchvision", "data=webdataset", "strategy=lora"),
    *(f"hydra/launcher={name}" for name in ("forks", "gpus", "joblib", "ray", "submitit_local", "submitit_slurm")),
    *("hydra/sweeper=optuna", "callbacks=pruning", "search=head", "search=backbone", "search=finetune"),
)
DELETED = [choice for choice in OF_EXTRAS if Path(choice.replace("=", "/")) not in FILES]  # with its extra
Train = Callable[..., list[Path]]
# What takes time to import, with what the extras bring.
HEAVY = {
    "PIL", "datasets", "huggingface_hub", "jinja2", "joblib", "lightning", "matplotlib", "mlflow", "numpy", "onnx",
    "optuna", "pandas", "peft", "pyarrow", "ray", "rich", "safetensors", "scipy", "sklearn", "submitit", "tensorboard",
    "timm", "torch", "torchmetrics", "torchvision", "tqdm", "transformers", "wandb", "webdataset",
}  # fmt: skip
SOMETHING = "resnet18"  # for whatever a choice wants to be told: a name, a path


def composed(*overrides: str) -> DictConfig:
    """The config of these overrides, and of what they imply; what they leave open is filled with something."""
    with initialize_config_dir(str(CONF)):
        implied = [one for one in imply([*overrides]) if not one.startswith("-")]
        cfg = compose("train", [*implied, "run_dir=run", "sweep_dir=sweeps"])
    for key in OmegaConf.missing_keys(cfg):
        OmegaConf.update(cfg, key, SOMETHING)
    return cfg


def chosen(group: str) -> list[str]:
    return [path.name for path in CHOICES if str(path.parent) == group]


def results(run_dir: Path) -> dict[str, Any]:
    """What a run's results.json says."""
    return json.loads((run_dir / "results.json").read_text())


def signal_at(
    monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int, in_folder: str = "", signum: int = signal.SIGTERM
) -> None:
    """Send this process a signal while a batch of an epoch is trained on."""

    def on_train_batch_start(self: Any, trainer: Trainer, _: Any, __: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (epoch, batch) and str(self.path.parent).endswith(in_folder):
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(History, "on_train_batch_start", on_train_batch_start, raising=False)


def go_on(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run train.py with nothing but these arguments: what it trains on comes from the run."""
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")


def outcome(run_dir: Path) -> dict[str, Any]:
    """Everything that two equal runs have in common."""
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        "weights": checkpoint["state_dict"],
        "optimizer": checkpoint["optimizer_states"],
        "scheduler": checkpoint["lr_schedulers"],
        "step": checkpoint["global_step"],
        "curve": (run_dir / "metrics.csv").read_text(),
        "metrics": results(run_dir)["metrics"],
        "status": results(run_dir)["status"],
    }


def assert_equal(found: Any, wanted: Any, name: str = "") -> None:
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), name
        for key in wanted:
            assert_equal(found[key], wanted[key], f"{name}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), name
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_equal(one, other, f"{name}.{number}")
    elif isinstance(wanted, torch.Tensor):
        assert torch.equal(found, wanted), name
    else:
        assert found == wanted, name
