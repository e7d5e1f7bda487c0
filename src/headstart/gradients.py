"""What of a network does something: modules that are called, parameters that get a gradient."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor, nn

log = logging.getLogger(__name__)

SHOWN = 3


@torch.no_grad()
def called_modules(network: nn.Module, image: Tensor) -> set[str]:
    """The names of the modules whose forward is called for `image` [1, 3, side, side].

    A layer of which others take the weight is none of them: what is put into its forward, as an adapter is, does
    nothing. So are the output projection of torch's MultiheadAttention, and the attention of many transformers.
    """
    found: set[str] = set()
    hooks = [
        module.register_forward_pre_hook(lambda _, __, name=name: found.add(name))
        for name, module in network.named_modules()
    ]
    try:
        network.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def without_gradient(network: nn.Module, image: Tensor) -> set[str]:
    """The names of the parameters that require a gradient, and on which the features of `image` don't depend.

    Read from autograd's graph, as DistributedDataParallel does: the gradients themselves would take time and memory.
    """
    with torch.enable_grad():
        todo = [network.eval()(image).grad_fn]
    nodes, reached = set(), set()
    while todo:
        node = todo.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            todo += [earlier for earlier, _ in node.next_functions]
            reached.add(id(getattr(node, "variable", None)))  # of the nodes that hand a parameter its gradient
    return {name for name, weight in network.named_parameters() if weight.requires_grad and id(weight) not in reached}


def share_of(names: Collection[str], weights: Mapping[str, Tensor]) -> str:
    """Some of `names`, how many they are and what share they have in all `weights`, in words."""
    count, total = sum(weights[name].numel() for name in names), sum(weight.numel() for weight in weights.values())
    some = ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} of {len(weights)} ({100 * count / total:.2g} % of the weights: {some})"


class GradientForAll(Callback):
    """Says once which parameters are trained in vain: after the first step of each epoch, they have no gradient.

    Raises RuntimeError when this is so for all that is trained of a part of the model, as its backbone or its head.
    """

    def __init__(self) -> None:
        self.epoch = -1  # the last one that was looked at
        self.said: set[str] = set()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Look at the gradients of the epoch's first step; a sharded model's are elsewhere."""
        known = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        if trainer.current_epoch == self.epoch or not known:
            return
        self.epoch = trainer.current_epoch
        if all(weight.grad is not None for group in optimizer.param_groups for weight in group["params"]):
            return  # nearly always; going through the names of a large backbone takes as long as a small head's epoch
        trained = {name: weight for name, weight in pl_module.named_parameters() if weight.requires_grad}
        dead = {name for name, weight in trained.items() if weight.grad is None}
        for part in {name.partition(".")[0] for name in dead}:
            if dead.issuperset(name for name in trained if name.partition(".")[0] == part):
                raise RuntimeError(f"nothing that is trained of model.{part} got a gradient: the loss ignores it")
        if dead - self.said:
            log.warning(f"trained in vain, as the loss doesn't depend on them: {share_of(dead, trained)}")
        self.said |= dead
