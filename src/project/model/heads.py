"""What is trained: from features [batch, num_features] to logits [batch, num_classes]."""

from torch import nn

from headstart.errors import UserError


def linear(num_features: int, num_classes: int, norm: str = "none") -> nn.Module:
    """One linear layer that starts at zero: the problem is convex, and every class starts equally likely.

    Gradient descent wants its features normalised: then features of any scale train well at the same learning rate.
    Raises UserError for a `norm` that isn't known.
    """
    layer = nn.Linear(num_features, num_classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(_normalisation(norm, num_features), layer)


def mlp(num_features: int, num_classes: int, hidden: int = 512, dropout: float = 0.5, norm: str = "layer") -> nn.Module:
    """One hidden layer with dropout, on normalised features; raises UserError for a `norm` that isn't known."""
    return nn.Sequential(
        _normalisation(norm, num_features),
        nn.Linear(num_features, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )


def _normalisation(norm: str, num_features: int) -> nn.Module:
    """`layer` looks at one image at a time; `batch` standardises each feature over the images, as MAE's probe does.

    Neither has weights. `batch` suits features that hardly differ between images, and can't train on a batch of one
    (He et al. 2022, https://arxiv.org/abs/2111.06377, appendix A). `none` leaves the features as they are.
    """
    if norm == "none":
        return nn.Identity()
    if norm == "layer":
        return nn.LayerNorm(num_features, elementwise_affine=False)
    if norm == "batch":
        return nn.BatchNorm1d(num_features, affine=False, momentum=None)  # a plain average: the backbone stands still
    raise UserError(f"head.norm={norm}: choose none, layer or batch")
