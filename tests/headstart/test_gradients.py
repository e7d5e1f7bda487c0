"""What is called trained gets a gradient; what gets none is left out, and named."""

import logging
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from headstart.backbone import Backbone, Preprocessing
from headstart.freezing import Freezing, Group
from headstart.gradients import GradientForAll, called_modules, without_gradient

IMAGE = torch.zeros(1, 3, 4, 4)


class Network(nn.Module):
    """Calls one layer, takes the weight of another, and leaves a third and a parameter of its own alone."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.taken, self.spare = nn.Linear(48, 5), nn.Linear(5, 5), nn.Linear(5, 5)
        self.token = nn.Parameter(torch.ones(2))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.linear(self.called(images.flatten(1)), self.taken.weight)


class AnyStrategy:
    head_scale = 1.0

    def __init__(self, *depths: tuple[str, ...]) -> None:
        self.depths = depths

    def groups(self, network: nn.Module, image: Tensor) -> tuple[Group, ...]:
        assert image.shape == IMAGE.shape
        return tuple(Group(depth, names, ()) for depth, names in enumerate(self.depths))

    def trains(self, group: Group, epoch: int) -> bool:
        return epoch > group.depth

    def lr_scale(self, group: Group) -> float:
        return 0.5**group.depth


def frozen(*depths: tuple[str, ...]) -> Freezing:
    preprocessing = Preprocessing(4, 4, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return Freezing(Backbone(Network(), 5, preprocessing), AnyStrategy(*depths))


def test_called_are_the_modules_whose_forward_runs() -> None:
    assert called_modules(Network(), IMAGE) == {"", "called"}
    attention = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation=nn.SiLU())  # no fused kernel for it
    assert {"self_attn", "linear1"} <= called_modules(attention, IMAGE[0])
    assert "self_attn.out_proj" not in called_modules(attention, IMAGE[0])


def test_without_gradient_are_those_that_backward_gives_none() -> None:
    network = Network()
    network(IMAGE).sum().backward()
    wanted = {name for name, weight in network.named_parameters() if weight.grad is None}
    assert without_gradient(network, IMAGE) == wanted == {"taken.bias", "spare.weight", "spare.bias", "token"}
    with torch.no_grad():
        assert without_gradient(network, IMAGE) == wanted


def test_what_has_no_part_in_the_features_stays_frozen(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        freezing = frozen(("token", "spare.bias"), ("taken.weight", "taken.bias"))
    assert freezing.groups == (Group(0, ("taken.weight",), ()),)  # a stage that is empty takes no epoch
    assert "3 of 4 (32 % of the weights: spare.bias, taken.bias, token)" in caplog.text
    assert [name for name, weight in freezing.network.named_parameters() if weight.requires_grad] == ["taken.weight"]
    freezing.begin(0)
    assert freezing.frozen
    freezing.begin(1)
    assert not freezing.frozen


def test_a_strategy_that_trains_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="the features don't depend on anything that the strategy trains"):
        frozen(("token",), ("spare.weight",))


class Model(LightningModule):
    def __init__(self, *, cut: bool) -> None:
        super().__init__()
        self.backbone, self.head, self.cut = Network(), nn.Linear(5, 2), cut

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        features = self.backbone(batch)
        return self.head(features.detach() if self.cut else features).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(*, cut: bool) -> None:
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_epochs=2, callbacks=[GradientForAll()], **options)
    trainer.fit(Model(cut=cut), DataLoader(torch.rand(4, 3, 4, 4)))  # pyright: ignore[reportArgumentType]


@pytest.mark.filterwarnings("ignore")
def test_what_is_trained_in_vain_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    fit(cut=False)
    (said,) = [record.message for record in caplog.records if "in vain" in record.message]
    assert "4 of 9" in said
    assert "backbone.spare.bias" in said


@pytest.mark.filterwarnings("ignore")
def test_a_part_that_is_trained_in_vain_altogether_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"nothing that is trained of model\.backbone got a gradient"):
        fit(cut=True)
