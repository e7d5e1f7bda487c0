"""The exact road to a linear head: logistic regression, with the best of many penalties."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)
from torch.optim import LBFGS

from headstart.errors import UserError

from .classifier import Batch, Classifier

AT_ONCE = 2**24  # logits: with what their loss and its gradient need, half a gigabyte

Part = tuple[Tensor, Tensor, float]  # features, labels, and their share of the mean loss


class LogisticRegression(Classifier):
    """A classifier whose linear head is solved for, once an epoch, on the features of all training images.

    Every epoch has its own penalty, from `strongest` to `weakest` in `epochs` steps that are even on a logarithmic
    scale, and starts where the last one ended; which penalty is best is seen on the validation images, as the best C
    of any logistic regression is. A penalty weighs half the squared weights of features with a variance of one, beside
    the mean loss: 1 is strong for any features, 1e-5 next to nothing. With starts this warm, `max_iter` iterations
    are enough for each. The other arguments are the Classifier's; lr, weight_decay, optimizer and scheduler are
    not looked at.
    """

    full_batch = True

    def __init__(
        self,
        *args: Any,
        strongest: float = 1.0,
        weakest: float = 1e-5,
        max_iter: int = 10,
        epochs: int = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not strongest >= weakest > 0 or max_iter < 1:
            raise UserError(
                f"model.strongest={strongest} model.weakest={weakest} model.max_iter={max_iter}: give penalties "
                "above 0, the strongest first, and at least one iteration"
            )
        if not epochs or epochs < 1:
            raise UserError(
                f"trainer.max_epochs={epochs}: solver=lbfgs shares its penalties out over them: give a number"
            )
        last_layer(self.head)
        self.strongest, self.weakest, self.max_iter, self.epochs = strongest, weakest, max_iter, epochs
        self.automatic_optimization = False
        self.seen: list[tuple[Tensor, Tensor]] = []  # this epoch's features and labels so far

    def penalty(self, epoch: int) -> float:
        """The penalty of an epoch, counted from 0; those beyond the last keep the weakest."""
        share = min(epoch / max(self.epochs - 1, 1), 1.0)
        return self.strongest * (self.weakest / self.strongest) ** share

    def configure_optimizers(self) -> LBFGS:
        """L-BFGS, with the head's only trained layer."""
        parameters = list(last_layer(self.head).parameters())
        return LBFGS(parameters, max_iter=self.max_iter, tolerance_grad=1e-4, line_search_fn="strong_wolfe")

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any] | None:
        """Wait for the epoch's last batch; then solve for the head, and return what came out for all images."""
        self.seen.append(self._of_all_devices(batch))
        if not self.trainer.is_last_batch:
            return None
        features, labels = self.seen[0] if len(self.seen) == 1 else map(torch.cat, zip(*self.seen, strict=True))
        self.seen = []
        optimizer, penalty = self.optimizers(), self.penalty(self.current_epoch)
        assert not isinstance(optimizer, list)
        self.log("penalty", penalty)
        with torch.autocast(self.device.type, enabled=False):
            solve(self.head, features, labels, penalty, optimizer.step, self.label_smoothing, self.class_weights)
            optimizer.state.clear()  # the slopes it remembers are those of this penalty
            parts = in_parts(features, labels, len(self.classes), self.class_weights)
            found = [(share, self._training_loss(self.head(some), those)) for some, those, share in parts]
        loss, hits = (sum(share * one["loss"] for share, one in found), sum(one["hits"] for _, one in found))
        return {"loss": loss, "hits": hits, "images": len(labels)}

    def _of_all_devices(self, batch: Batch) -> Batch:
        """Features and labels of a batch; of images, every device has its share, and needs the features of all."""
        images, labels = batch
        features = self.features(images)
        if features is images:
            return batch
        all_features, all_labels = self.all_gather(features), self.all_gather(labels)
        assert isinstance(all_features, Tensor)
        assert isinstance(all_labels, Tensor)
        return all_features.view(-1, features.shape[-1]), all_labels.flatten()


def last_layer(head: nn.Module) -> nn.Linear:
    """The only trained layer of a linear head; raises UserError where there are others, or where it isn't the last."""
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    trained = [layer for layer in layers if any(True for _ in layer.parameters())]
    if not isinstance(layers[-1], nn.Linear) or trained != layers[-1:]:
        raise UserError("solver=lbfgs is for head=linear: add solver=adamw to train any other head")
    return layers[-1]


def is_linear(head: nn.Module) -> bool:
    """Whether its last layer is all that there is to train in a head."""
    try:
        return bool(last_layer(head))
    except ValueError:
        return False


@torch.no_grad()
def solve(
    head: nn.Module,
    features: Tensor,
    labels: Tensor,
    penalty: float,
    step: Callable[..., Any],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> None:
    """Move a linear head to the minimum of its mean loss on `features` [images, num_features] plus the penalty.

    `step` is that of an optimizer which takes a closure. Solved for are the weights for features that are centred, and
    scaled by one factor for all: no other scaling keeps the solution that of a logistic regression on the features as
    they are. Beside the features, memory is needed for `AT_ONCE` logits, however many images there are.
    """
    linear = last_layer(head)
    for layer in list(head)[:-1] if isinstance(head, nn.Sequential) else []:
        features = layer(features)
    mean, scale = _mean_and_scale(features)
    weight, bias = linear.weight, linear.bias
    bias += weight @ mean
    weight *= scale

    parts = in_parts(features, labels, len(weight), class_weights)
    options: dict[str, Any] = {"weight": class_weights, "label_smoothing": label_smoothing}
    step(closure=partial(_loss_and_gradient, linear, parts, mean, scale, penalty, options))
    weight /= scale
    bias -= weight @ mean


def _loss_and_gradient(
    linear: nn.Linear, parts: list[Part], mean: Tensor, scale: Tensor, penalty: float, options: dict[str, Any]
) -> Tensor:
    """The penalised mean loss of a layer whose weights are for centred and scaled features; sets its gradients."""
    weight, bias = linear.weight, linear.bias
    total = penalty / 2 * weight.square().sum()
    weight.grad, bias.grad = penalty * weight, torch.zeros_like(bias)
    for some, those, share in parts:
        with torch.enable_grad():
            scaled = weight / scale  # folded into the weights: a scaled copy of all features would cost more
            logits = F.linear(some, scaled, bias - scaled @ mean)
            loss = share * F.cross_entropy(logits, those, **options)
            # Not backward(): every device solves the same problem, so gradients must not be averaged between them.
            gradients = torch.autograd.grad(loss, [weight, bias])
        total += loss.detach()
        weight.grad += gradients[0]
        bias.grad += gradients[1]
    return total


def in_parts(features: Tensor, labels: Tensor, num_classes: int, class_weights: Tensor | None = None) -> list[Part]:
    """All images, in parts of no more than `AT_ONCE` logits, with the share that each has of the mean loss."""
    weights = torch.ones(len(labels)) if class_weights is None else class_weights[labels]
    rows = max(1, AT_ONCE // num_classes)
    parts = zip(features.split(rows), labels.split(rows), weights.split(rows), strict=True)
    return [(some, those, float(part.sum() / weights.sum())) for some, those, part in parts]


def _mean_and_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of each feature, and one standard deviation for all."""
    mean = features.mean(dim=0)
    parts = features.split(256)  # few at once: they stay in the cache
    squares = features.new_empty(len(parts))
    difference = torch.empty_like(parts[0])  # one for all: new ones were kept between the sums, all of them at once
    for number, rows in enumerate(parts):
        squares[number] = torch.sub(rows, mean, out=difference[: len(rows)]).square_().sum()
    return mean, (squares.sum() / features.numel()).sqrt().clamp_min(1e-6)
