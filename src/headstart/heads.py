"""What is trained: from features [batch, num_features] to logits [batch, num_classes]."""

from torch import nn


def linear(num_features: int, num_classes: int) -> nn.Module:
    """One linear layer on normalised features.

    The normalisation has no parameters and looks at one picture at a time, so features of any scale train
    well at the same learning rate, and a batch of one picture is as good as any. The layer starts at zero:
    the problem is convex, and every class starts equally likely.
    """
    layer = nn.Linear(num_features, num_classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.LayerNorm(num_features, elementwise_affine=False), layer)


def mlp(num_features: int, num_classes: int, hidden: int = 512, dropout: float = 0.5) -> nn.Module:
    """One hidden layer with dropout, on normalised features."""
    return nn.Sequential(
        nn.LayerNorm(num_features, elementwise_affine=False),
        nn.Linear(num_features, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )
