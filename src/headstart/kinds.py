"""Whether what a `_target_` names makes what is asked for: a line where it doesn't, a traceback for a bug inside it."""

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .errors import UserError


def makes(kind: type, key: str, function: Callable[..., Any] | None) -> Callable[..., Any]:
    """`function`, as it is; raises UserError where `key._target_` names a class whose objects are no `kind`."""
    target = getattr(function, "func", function)  # of a functools.partial
    if isinstance(target, type) and not issubclass(target, kind):
        _refuse(kind, key, target)
    return function  # pyright: ignore[reportReturnType] (None stays None)


def of_kind(kind: type, key: str, made: Any) -> Any:
    """`made`, as it is; raises UserError where what `key._target_` has made is no `kind`."""
    if not isinstance(made, kind):
        _refuse(kind, key, type(made))
    return made


def check_parts(model: Any, num_features: int) -> None:
    """Raise UserError for a model's optimizer or scheduler that is none, and a head that makes no logits of features.

    That is [batch, num_classes] of [batch, num_features]. A model that lacks such a part is an owner's own.
    """
    makes(Optimizer, "model.optimizer", getattr(model, "optimizer", None))
    makes(LRScheduler, "model.scheduler", getattr(model, "scheduler", None))
    head, wanted = of_kind(nn.Module, "head", model.head), (2, len(model.classes))
    was_training = head.training
    with torch.no_grad():
        logits = head.eval()(torch.zeros(2, num_features))
    head.train(was_training)
    found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    if found != wanted:
        raise UserError(
            f"head._target_ makes {type(head).__name__}, which turns features {(2, num_features)} into {found}, and "
            f"logits {wanted} are expected: name another"
        )


def with_scheduler(configured: Any) -> Any:
    """What a model's `configure_optimizers` returns, as it is; raises UserError where its scheduler is none."""
    if isinstance(configured, dict):
        of_kind(LRScheduler, "model.scheduler", configured["lr_scheduler"]["scheduler"])
    return configured


def _refuse(kind: type, key: str, found: type) -> NoReturn:
    expected = f"{kind.__module__}.{kind.__qualname__}"
    raise UserError(f"{key}._target_ makes {found.__name__}, and {expected} is expected: name another")
