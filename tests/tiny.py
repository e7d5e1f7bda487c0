"""Tiny networks of six families, with random weights, for images of 32 pixels: `tiny.backbone` as a `_target_`."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from headstart.backbone import Backbone, Preprocessing
from headstart.pooling import count_features
from headstart.specs import to_spec
from headstart.weights import isolated

SIDE = 32
TRUSTED = f"{__name__}.backbone"


def backbone(name: str, weights: str | None = None, pooling: str | None = None, seed: int = 0) -> Backbone:
    """The network that the function `name` below makes; see `project.backbones.timm.from_timm`."""
    assert (weights, pooling) == (None, None)
    with isolated(seed):
        network = NETWORKS[name]().eval()
    preprocessing = Preprocessing(SIDE, SIDE, "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    spec = to_spec(partial(backbone, name=name, weights=weights, pooling=pooling, seed=seed))
    return Backbone(network, count_features(network, SIDE), preprocessing, spec)


def resnet() -> nn.Module:
    """timm's, with a block in each stage."""
    from timm.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, (1,) * 4, num_classes=0, channels=(8, 8, 16, 16))  # pyright: ignore[reportArgumentType]


def efficientnet() -> nn.Module:
    """torchvision's, with three groups of a block, and stochastic depth."""
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    blocks = [MBConvConfig(2, 3, 2, size, size + 8, 1) for size in (8, 16, 24)]
    network = EfficientNet(blocks, dropout=0.1, num_classes=2)
    network.classifier[1] = nn.Identity()
    return network


def convnext() -> nn.Module:
    """timm's, whose scales of the blocks are large enough to let a step through."""
    import timm

    sizes = {"depths": (1,) * 4, "dims": (8, 8, 16, 16), "conv_mlp": False, "drop_path_rate": 0.1}
    return timm.create_model("convnext_atto", num_classes=0, ls_init_value=1.0, **sizes)


def vit() -> nn.Module:
    """torchvision's, whose attention is torch's MultiheadAttention."""
    from torchvision.models.vision_transformer import VisionTransformer

    network = VisionTransformer(SIDE, 8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=2)
    network.heads = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return network


def swin() -> nn.Module:
    """torchvision's, whose attention takes the weights of its linear layers."""
    from torchvision.models.swin_transformer import SwinTransformer

    network = SwinTransformer([2, 2], 8, [1, 1], [2, 2], [4, 4], num_classes=2)
    network.head = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return network


def dinov2() -> nn.Module:
    """transformers', with a mask token that plays no part in the features of whole images."""
    from transformers import Dinov2Config, Dinov2Model

    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "mlp_ratio": 2}
    return ClassToken(Dinov2Model(Dinov2Config(image_size=SIDE, patch_size=8, **sizes)))


class ClassToken(nn.Module):
    """Of a network of transformers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The normalised token of images [batch, 3, side, side]."""
        return self.network(pixel_values=images).pooler_output


NETWORKS = {function.__name__: function for function in (resnet, efficientnet, convnext, vit, swin, dinov2)}
