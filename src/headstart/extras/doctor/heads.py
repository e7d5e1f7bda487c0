"""Linear heads on features that are kept, by a solver that the caller hands in."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS

# Moves a linear head to the minimum of its loss: of (head, features, labels, penalty, step of an optimizer).
Solve = Callable[[nn.Module, Tensor, Tensor, float, Callable[..., Any]], Any]
PENALTIES = tuple(10 ** (-half / 2) for half in range(11))  # from strong to next to nothing
ITERATIONS = 10  # for each, as every one starts where the last one ended


def heads(
    solve: Solve,
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    penalties: Sequence[float] = PENALTIES,
    start: nn.Linear | None = None,
) -> Iterator[nn.Linear]:
    """One head, solved for with one penalty after the other, the strongest first, from zero or `start` on."""
    head = start or nn.Linear(features.shape[1], num_classes, device=features.device)
    if not start:
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    optimizer = LBFGS(head.parameters(), max_iter=ITERATIONS, tolerance_grad=1e-4, line_search_fn="strong_wolfe")
    for penalty in penalties:
        solve(head, features, labels, penalty, optimizer.step)
        optimizer.state.clear()  # the slopes it remembers are those of this penalty
        yield head


@torch.no_grad()
def probabilities(head: nn.Module, features: Tensor) -> Tensor:
    """Those of every class [images, num_classes]."""
    return head(features).softmax(dim=1)


def solved(
    solve: Solve,
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    penalties: Sequence[float],
    start: nn.Linear | None = None,
) -> nn.Linear:
    """The head of the last of some penalties."""
    *_, head = heads(solve, features, labels, num_classes, penalties, start)
    return head
