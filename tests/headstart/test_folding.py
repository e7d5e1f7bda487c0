import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from headstart.features.fast_network import fold_batchnorms

NETWORKS = {
    "torchvision's mobilenet": lambda: models.mobilenet_v3_small(num_classes=9),
    "a BatchNorm before every convolution": lambda: models.DenseNet(
        4, (2, 2, 2, 2), num_init_features=8, num_classes=9
    ),
    "none at all": lambda: timm.create_model("test_convnext"),
    "activations in the BatchNorms": lambda: timm.create_model("test_efficientnet"),
    "timm's resnet": lambda: timm.create_model("test_resnet"),
}
ALL_FOLD = ("torchvision's mobilenet", "activations in the BatchNorms", "timm's resnet")


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def with_statistics(network: nn.Module) -> nn.Module:
    """Random weights come with a mean of 0 and a variance of 1, which hides every mistake."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                assert tensor is not None
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_computes_the_same(name: str) -> None:
    network = with_statistics(NETWORKS[name]())
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    images = torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    folded = fold_batchnorms(network, images[:2])
    with torch.no_grad():
        wanted, found = network(images), folded(images)
    assert torch.allclose(wanted, found, atol=1e-3 * wanted.abs().max())
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    if name in ALL_FOLD:
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
