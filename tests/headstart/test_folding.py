import pytest
import torch
from torch import Tensor, nn

from headstart.backbone import Backbone
from headstart.features.folding import fold_batchnorms
from project.backbones.bundled import efficientnet_lite
from project.backbones.timm import from_timm
from project.backbones.torchvision import from_torchvision

BACKBONES = {
    "efficientnet_lite0": efficientnet_lite,
    "resnet18": lambda: from_torchvision("resnet18", weights=None),
    "densenet121": lambda: from_torchvision("densenet121", weights=None),  # a BatchNorm before every convolution
    "convnext_tiny": lambda: from_torchvision("convnext_tiny", weights=None),  # none at all
    "timm's resnet10t": lambda: from_timm("resnet10t", weights=None),
}


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def with_statistics(backbone: Backbone) -> nn.Module:
    """Random weights come with a mean of 0 and a variance of 1, which hides every mistake."""
    generator = torch.Generator().manual_seed(0)
    for module in backbone.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                assert tensor is not None
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return backbone.network.eval()


@pytest.mark.parametrize("name", BACKBONES)
def test_a_folded_network_computes_the_same(name: str) -> None:
    backbone = BACKBONES[name]()
    network = backbone.network.eval() if name == "efficientnet_lite0" else with_statistics(backbone)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    images = torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    folded = fold_batchnorms(network, images[:2])
    with torch.no_grad():
        wanted, found = network(images), folded(images)
    assert torch.allclose(wanted, found, atol=1e-3 * wanted.abs().max())
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    if name in ("efficientnet_lite0", "resnet18", "timm's resnet10t"):
        assert norms(network) > 5
        assert norms(folded) == 0


class UsedTwice(nn.Module):
    """The convolution's output goes past its BatchNorm, too: folding would change what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean = torch.full((4,), 3.0)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.conv(images)
        return (self.norm(hidden) + hidden).mean(dim=(2, 3))


def test_a_network_that_folding_would_change_stays_as_it_is() -> None:
    network = UsedTwice().eval()
    assert fold_batchnorms(network, torch.randn(2, 3, 8, 8)) is network
