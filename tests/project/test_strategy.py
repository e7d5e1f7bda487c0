"""What each strategy trains, and that everything else stays as it is, bit for bit."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Train, assert_equal, chosen, go_on, outcome, results, signal_at
from torch import nn

from headstart.backbone import features_to_train
from headstart.errors import explain
from headstart.freezing import Freezing
from headstart.resume.checkpoints import PREFIX
from headstart.resume.implied import imply
from project.backbones.timm import from_timm
from project.model.strategy import Strategy

IMAGE = torch.zeros(1, 3, 160, 160)
RESNET = "test_resnet.r160_in1k"
TRAINED = {"until:layer2": r"layer[34]\..*", "1": r"layer4\..*"}


@pytest.mark.parametrize("freeze", [pytest.param("until:layer2"), pytest.param("1", marks=pytest.mark.slow)])
def test_a_run_changes_what_is_not_frozen_and_nothing_else(train: Train, freeze: str) -> None:
    network = ["backbone=timm", f"backbone.name={RESNET}", "backbone.weights=null", f"backbone.freeze={freeze}"]
    (run_dir,) = train(*network, "strategy=finetune", "logger=none", "data.batch_size=10", "trainer.max_epochs=2")
    before, after = from_timm(RESNET, weights=None).network.state_dict(), saved(run_dir)
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    assert moved == {key for key in before if re.fullmatch(TRAINED[freeze], key)}
    assert moved == after.keys(), "what is frozen is named in a checkpoint, not stored"


def saved(run_dir: Path) -> dict[str, Any]:
    state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}


def test_a_strategy_is_a_function_of_the_epoch() -> None:
    network = from_timm(RESNET, weights=None).network
    strategy = Strategy(unfreeze_every=2, decay=0.5)
    groups = strategy.groups(network, IMAGE)
    top, below = groups[0], groups[1]
    assert {name.split(".")[0] for name in top.parameters} == {"layer4"}
    assert [strategy.trains(top, epoch) for epoch in range(4)] == [False, False, True, True]
    assert [strategy.trains(below, epoch) for epoch in range(6)] == [False] * 4 + [True] * 2
    assert [strategy.lr_scale(group) for group in groups] == [0.5**depth for depth in range(len(groups))]
    names = [name for group in groups for name in group.parameters]
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())


def test_frozen_stages_below_leave_no_graph() -> None:
    freezing = Freezing(from_timm(RESNET, weights=None), Strategy(freeze="until:layer2"))
    freezing.begin(0)
    freezing.set_mode(True)
    graphs: dict[str, Any] = {}

    def note(name: str, output: Any) -> None:
        graphs[name] = output.grad_fn

    for name in ("layer2", "layer3"):
        stage = freezing.network.get_submodule(name)
        stage.register_forward_hook(lambda _, __, output, name=name: note(name, output))
    features_to_train(freezing.network, torch.zeros(2, 3, 160, 160, dtype=torch.uint8), torch.zeros(()), torch.ones(()))
    assert graphs["layer2"] is None
    assert graphs["layer3"] is not None


def test_frozen_stages_are_in_eval_mode_whoever_asks() -> None:
    freezing = Freezing(from_timm(RESNET, weights=None), Strategy(freeze="until:layer2", unfreeze_every=1))
    freezing.begin(1)
    freezing.network.train()
    freezing.set_mode(True)
    training = {name.split(".")[0] for name, module in freezing.network.named_modules() if module.training}
    assert "layer4" in training
    assert not training & {"conv1", "bn1", "layer1", "layer2", "layer3"}
    freezing.set_mode(False)
    assert not any(module.training for module in freezing.network.modules())


def test_the_optimizer_has_every_group_at_its_rate_and_pulls_no_vector_to_zero() -> None:
    freezing = Freezing(from_timm(RESNET, weights=None), Strategy(decay=0.5, head_scale=3))
    groups = freezing.parameter_groups(nn.Linear(7, 3), lr=0.1, weight_decay=0.2)
    assert [group["lr"] for group in groups[:4]] == [0.1 * 3, 0.1 * 3, 0.1, 0.1]
    assert groups[-1]["lr"] == 0.1 * 0.5 ** (len(groups) // 2 - 2)
    for group in groups:
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] > 0}
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(held) == len(set(held)) == len(list(freezing.network.parameters())) + 2


def test_a_trained_backbone_is_this_models_alone() -> None:
    backbone = from_timm(RESNET, weights=None)
    assert Freezing(backbone, Strategy()).network is not backbone.network
    assert Freezing(backbone, None).network is backbone.network  # a frozen one is shared by the jobs of a sweep


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.strategy.trained=some", "choose all or bias or adapters"),
        ("model.strategy.decay=2", "decay=2"),
        ("backbone.freeze=all", "leaves nothing to train"),
        ("backbone.freeze=until:layer9", "the backbone's stages are"),
        ("solver=lbfgs", "take solver=adamw"),
        ("features.cache=true", "is for strategy=frozen"),
    ],
)
def test_what_can_not_be_is_said_in_one_line(train: Train, override: str, message: str) -> None:
    with pytest.raises(SystemExit) as caught:
        train("strategy=finetune", "logger=none", override)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_part_that_is_left_unfrozen_means_finetune() -> None:
    assert imply(["backbone.freeze=2"]) == ["backbone.freeze=2", "strategy=finetune"]
    for said in (["backbone.freeze=all"], ["backbone.freeze=2", "strategy=lp_ft"], ["seed=1"]):
        assert imply(said) == said


def test_too_little_memory_is_said_in_one_line() -> None:
    assert "halve data.batch_size" in str(explain(torch.OutOfMemoryError("CUDA out of memory")))


def test_lora_is_for_transformers() -> None:
    lora = pytest.importorskip("headstart.extras.lora")
    with pytest.raises(ValueError, match="no linear layers"):
        Strategy(trained="adapters", adapt=lora.add_adapters).groups(from_timm(RESNET, weights=None).network, IMAGE)


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_if_it_had_not_been(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    if "gradual" not in chosen("strategy"):
        pytest.skip("no choice of this project")
    network = ["backbone=timm", f"backbone.name={RESNET}", "backbone.weights=null"]
    options = [*network, "strategy=gradual", "trainer.max_epochs=3", "logger=none", "data.batch_size=10"]
    train(*options, "hydra.run.dir=logs/runs/whole")
    wanted = outcome(Path("logs/runs/whole"))
    for epoch, batch in ((1, 0), (2, 1)):
        run_dir = Path(f"logs/runs/{epoch}")
        with monkeypatch.context() as patch:
            signal_at(patch, epoch, batch, in_folder=str(run_dir))
            with pytest.raises(SystemExit):
                train(*options, f"hydra.run.dir={run_dir}")
        assert results(run_dir)["status"] == "interrupted"
        go_on(monkeypatch, f"resume={run_dir}")
        assert_equal(outcome(run_dir), wanted, f"stopped in epoch {epoch}, batch {batch}")
