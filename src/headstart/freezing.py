"""The backbone's side of a strategy: gradients, training mode and learning rates, for the epoch that is trained."""

import logging
from copy import deepcopy
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .errors import UserError
from .gradients import share_of, without_gradient

log = logging.getLogger(__name__)


class Group(NamedTuple):
    """Parameters of one stage of the backbone, and the modules that are in training mode while they are trained."""

    depth: int  # 0 is the stage below the head
    parameters: tuple[str, ...]
    modules: tuple[str, ...]


class Strategy(Protocol):
    """What is trained when; an owner's own is used wherever it offers this."""

    @property
    def head_scale(self) -> float:
        """The head's learning rate, as a multiple of the uppermost stage's."""
        ...

    def groups(self, network: nn.Module, image: Tensor) -> tuple[Group, ...]:
        """What it trains of a network, the uppermost stage first; `image` [1, 3, side, side] is one that it takes."""
        ...

    def trains(self, group: Group, epoch: int) -> bool:
        """Whether a group is trained in an epoch, counted from 0."""
        ...

    def lr_scale(self, group: Group) -> float:
        """A group's learning rate, as a multiple of the uppermost stage's."""
        ...


class Freezing:
    """A backbone's network, frozen but for what a strategy trains in the present epoch; without one, all of it always.

    What is trained belongs to this model alone: the network of a strategy is a copy. What the features don't depend
    on stays frozen, and is named: no gradient would come to it, and DistributedDataParallel would wait for one.

    Raises UserError when they depend on nothing that the strategy trains.
    """

    def __init__(self, backbone: Backbone, strategy: Strategy | None) -> None:
        self.network = deepcopy(backbone.network) if strategy else backbone.network
        self.strategy = strategy
        self.groups: tuple[Group, ...] = ()
        self.modules: list[nn.Module] = []  # those that are in training mode in this epoch
        self.frozen = True  # whether nothing is trained in this epoch
        if strategy:
            side, weight = backbone.preprocessing.crop, next(self.network.parameters(), torch.zeros(()))
            image = torch.zeros(1, 3, side, side, dtype=weight.dtype, device=weight.device)
            self.groups = strategy.groups(self.network, image)
            self.network.requires_grad_(False)
            self.begin(None)
            self._leave_out(without_gradient(self.network, image))
        self.network.requires_grad_(False).eval()
        self.everything = [*self.network.modules()]  # to walk through them anew takes ten times as long
        self.begin(None)

    def begin(self, epoch: int | None) -> None:
        """Freeze and unfreeze what `epoch` wants; None unfreezes all that is ever trained, as DDP has to know."""
        self.modules, self.frozen = [], True
        for group in self.groups:
            assert self.strategy is not None, "there are no groups without one"
            is_trained = epoch is None or self.strategy.trains(group, epoch)
            for name in group.parameters:
                self.network.get_parameter(name).requires_grad_(is_trained)
                self.frozen &= not is_trained
            self.modules += map(self.network.get_submodule, group.modules) if is_trained else []

    def _leave_out(self, dead: set[str]) -> None:
        """Take these parameters out of the groups, and groups that hold no others."""
        if not dead:
            return
        wanted = {name: self.network.get_parameter(name) for group in self.groups for name in group.parameters}
        if dead.issuperset(wanted):
            raise UserError(
                "the features don't depend on anything that the strategy trains: choose another strategy, or another "
                "backbone.freeze, or look for a torch.no_grad() in the backbone"
            )
        log.info(f"left out, as the features don't depend on them: {share_of(dead, wanted)}")
        kept = [group for group in self.groups if not group.parameters or not dead.issuperset(group.parameters)]
        depths = sorted({group.depth for group in kept})
        self.groups = tuple(
            Group(depths.index(depth), tuple(name for name in parameters if name not in dead), modules)
            for depth, parameters, modules in kept
        )

    def set_mode(self, training: bool) -> None:
        """Put what is trained into training mode, and everything else into eval mode, always."""
        if any(module.training for module in self.everything):  # rarely: to look costs less than to set all
            self.network.eval()
        for module in self.modules:
            module.training = training

    def parameter_groups(self, head: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """For the optimizer: the head and all groups, matrices apart from vectors, which no weight decay pulls to 0."""
        if self.strategy is None:
            return [{"params": list(head.parameters()), "name": "head"}]
        parts = [("head", self.strategy.head_scale, list(head.parameters()))]
        for group in self.groups:
            parameters = list(map(self.network.get_parameter, group.parameters))
            parts.append((f"depth_{group.depth}", self.strategy.lr_scale(group), parameters))
        found = []
        for name, share, parameters in parts:
            for is_matrix, decay in ((True, weight_decay), (False, 0.0)):
                chosen = [parameter for parameter in parameters if (parameter.ndim > 1) == is_matrix]
                group = {"params": chosen, "lr": lr * share, "weight_decay": decay, "name": name}
                found += [group] if chosen else []
        return found

    def changing(self) -> set[str]:
        """The names of the parameters and buffers that training may change."""
        modules = [(name, self.network.get_submodule(name)) for group in self.groups for name in group.modules]
        buffers = {f"{name}.{buffer}" for name, module in modules for buffer in module._buffers}
        return {name for group in self.groups for name in group.parameters} | buffers


def sizes(backbone: nn.Module, head: nn.Module) -> str:
    """The numbers of frozen and of trained weights, in words."""
    counts = {True: 0, False: 0}
    for weight in backbone.parameters():
        counts[weight.requires_grad] += weight.numel()
    in_head = sum(weight.numel() for weight in head.parameters())
    also = f" and {counts[True]:,} trained" if counts[True] else ""
    return f"{counts[False]:,} frozen{also} weights in the backbone, {in_head:,} trained ones in the head"
