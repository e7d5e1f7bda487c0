"""Every strategy on networks of six families: what is trained moves, nothing else does, and it goes on bit for bit."""

import re
import shutil
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import tiny
import torch
from hydra.utils import execution_whitelist
from omegaconf import DictConfig, OmegaConf
from runs import assert_equal, chosen, composed, outcome
from torch import nn

from headstart.freezing import Freezing
from headstart.machine import prepare_process
from headstart.resume import last_checkpoint
from headstart.resume.checkpoints import PREFIX
from headstart.resume.last_checkpoint import LastCheckpoint
from headstart.resume.signals import StopRequest
from project import TRUSTED, head_first
from project import main as road
from project.evaluation import evaluate
from project.model import classifier
from project.model.strategy import Strategy

STRATEGIES = {name: [f"strategy={name}"] for name in ("frozen", "lp_ft", "finetune", "gradual", "bitfit", "lora")}
STRATEGIES["bitfit_fixed"] = ["strategy=bitfit", "model.strategy.batchnorm=fixed"]
FAST = {("resnet", "bitfit_fixed"), ("vit", "lora"), ("dinov2", "gradual")}
NORMS = (nn.BatchNorm2d, nn.LayerNorm)
LAYER_SCALES = ("gamma", "lambda1")  # of ConvNeXt, of DINOv2
UPPER_TWO = {  # gradual comes to them in its second and third epoch
    "resnet": r"layer[34]\..*",
    "efficientnet": r"features\.[34]\..*",
    "convnext": r"(stages\.[23]|head)\..*",
    "vit": r"encoder\.(layers\.encoder_layer_[12]|ln)\..*",
    "swin": r"(features\.[123]|norm)\..*",
    "dinov2": r"network\.(encoder\.layer\.[12]|layernorm)\..*",
}
CALLED = {  # the linear layers; of torch's attention and Swin's only the weights are used
    "convnext": r".*mlp\.fc[12]",
    "vit": r".*mlp\.[03]",
    "swin": r".*(mlp\.[03]|reduction)",
    "dinov2": r".*([qkvo]_proj|fc[12])",
}
BOUNDARIES = {  # (epoch, batch) before which a run is stopped; the whole set is one batch for solver=lbfgs
    "frozen": [(1, 0)],
    "lp_ft": [(0, 0), (1, 0), (1, 1)],  # first behind the head
    "gradual": [(1, 0), (1, 1), (2, 0)],
}
Cell = tuple[str, str]
CELLS = [(family, name) for family in tiny.NETWORKS for name in STRATEGIES]
CELLS = [(f, name) for f, name in CELLS if name != "bitfit_fixed" or f in ("resnet", "efficientnet")]


@pytest.fixture(autouse=True)
def tiny_is_trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(classifier, "BACKBONES", (tiny.TRUSTED,))
    with execution_whitelist((*TRUSTED, tiny.TRUSTED)):
        yield


def is_trained(network: nn.Module, family: str, strategy: str, name: str) -> bool:
    """What the strategies' papers, and our configs, say of a parameter or buffer; dinov2's mask token has no part."""
    owner, _, own = name.rpartition(".")
    module = network.get_submodule(owner)
    if strategy == "frozen" or own == "mask_token":
        return False
    if strategy == "lora":
        return "lora_" in name
    if own in module._buffers and (type(module) is not nn.BatchNorm2d or strategy in ("lp_ft", "bitfit_fixed")):
        return False  # a table, or statistics that stay
    if strategy.startswith("bitfit"):
        return own.endswith("bias") or isinstance(module, NORMS) or own in LAYER_SCALES
    return strategy != "gradual" or re.fullmatch(UPPER_TWO[family], name) is not None


@cache
def config(strategy: str) -> DictConfig:
    return composed(
        *STRATEGIES[strategy], "data=folder", "data.num_workers=0", "data.batch_size=20", "augment=none", "logger=none",
        "backbone=torchvision", "backbone._target_=tiny.backbone", "backbone.weights=null",
        "trainer=cpu", "trainer.max_epochs=3", "progress=none", "trainer.precision=32",
        *([] if strategy == "frozen" else ["model.lr=0.01"]),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def without_hydra(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job of Hydra's, which could say by what command a run was started."""
    monkeypatch.setattr(road, "command_of", lambda _: "")


def go(strategy: str, family: str, images: Path, run_dir: Path, resume: bool = False) -> DictConfig:
    """Train by the project's own road; the config comes back."""
    cfg = deepcopy(config(strategy))
    told = {"backbone.name": family, "data.root": images, "run_dir": run_dir, "resume": "x" if resume else None}
    for key, value in told.items():
        OmegaConf.update(cfg, key, str(value) if value else None)
    run_dir.mkdir(exist_ok=True)
    prepare_process()
    road.run(cfg, StopRequest(), in_sweep=True, with_plots=False)
    return cfg


def stopped_copies(monkeypatch: pytest.MonkeyPatch, wanted: list[tuple[int, int]]) -> None:
    """Save at every place where that is allowed; keep the folder as a kill at a wanted place would have left it."""
    monkeypatch.setattr(last_checkpoint, "BETWEEN_EPOCHS", 0.0)
    save = LastCheckpoint.save

    def save_and_copy(self: LastCheckpoint, trainer) -> None:
        save(self, trainer)
        batch = trainer.fit_loop.epoch_loop.batch_progress.current.completed % trainer.num_training_batches
        if (trainer.current_epoch, batch) in wanted:
            shutil.copytree(self.dirpath.parent, f"at {trainer.current_epoch} {batch}", dirs_exist_ok=True)

    monkeypatch.setattr(LastCheckpoint, "save", save_and_copy)


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(
    "cell", [pytest.param(cell, marks=() if cell in FAST else pytest.mark.slow) for cell in CELLS], ids="-".join
)
def test_strategy(monkeypatch: pytest.MonkeyPatch, images: Path, cell: Cell) -> None:
    family, strategy = cell
    if strategy.removesuffix("_fixed") not in chosen("strategy"):
        pytest.skip("no choice of this project")
    if strategy == "lora" and family not in CALLED:
        with pytest.raises(ValueError, match="no linear layers"):
            go(strategy, family, images, Path("whole"))
        return
    boundaries = BOUNDARIES.get(strategy, [(1, 0), (1, 1)])
    monkeypatch.setattr(head_first, "EPOCHS", 2)
    boundaries = BOUNDARIES.get(strategy, [(1, 0), (1, 1)])
    with monkeypatch.context() as patch:
        stopped_copies(patch, boundaries)
        cfg = go(strategy, family, images, Path("whole"))
    torch.manual_seed(cfg.seed)
    assert_moved(road.build.model(cfg, road.build.images(cfg)).backbone, family, strategy)
    tested = evaluate(cfg, "whole/checkpoints/best.ckpt")
    wanted = outcome(Path("whole"))
    assert tested == {name: value for name, value in wanted["metrics"].items() if name.startswith("test/")}
    for epoch, batch in boundaries:
        go(strategy, family, images, Path(f"at {epoch} {batch}"), resume=True)
        assert_equal(outcome(Path(f"at {epoch} {batch}")), wanted, f"stopped before epoch {epoch}, batch {batch}")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32", reason="torch's gloo wants a POSIX host name service")
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("family", "trained"), [("vit", "adapters"), ("swin", "adapters"), ("dinov2", "all")])
def test_ddp_waits_for_no_gradient_that_never_comes(family: str, trained: str) -> None:
    adapters = trained == "adapters" and pytest.importorskip("headstart.extras.lora").add_adapters
    freezing = Freezing(tiny.backbone(family), Strategy(trained=trained, adapt=adapters or None))
    network = nn.parallel.DistributedDataParallel(freezing.network)
    for _ in range(2):  # it raises in the second step
        network(torch.rand(2, 3, tiny.SIDE, tiny.SIDE)).sum().backward()


def assert_moved(made: nn.Module, family: str, strategy: str) -> None:
    """Against the tensors that the network's own library drew, and against what is called trained."""
    before, network = made.state_dict(), tiny.backbone(family).network
    donor = {name.replace(".base_layer", ""): value for name, value in before.items() if "lora_" not in name}
    assert_equal(donor, network.state_dict())
    if strategy == "lora":
        layers = {name.partition(".lora_")[0] for name in before if "lora_" in name}
        assert layers == {name for name, _ in network.named_modules() if re.fullmatch(CALLED[family], name)}
    state = outcome(Path("whole"))["weights"]
    after = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    moved = {name for name, value in after.items() if not torch.equal(before[name], value)}
    if strategy != "gradual":  # which is only coming to them
        assert moved & dict(made.named_parameters()).keys() == {
            n for n, p in made.named_parameters() if p.requires_grad
        }
    wanted = {name for name in before if "lora_" in name} or set(network.state_dict())
    assert moved == {name for name in wanted if "lora_" in name or is_trained(network, family, strategy, name)}
