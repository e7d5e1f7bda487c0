"""The backbone's side of a strategy: gradients, training mode and learning rates, for the epoch that is trained."""

from copy import deepcopy
from typing import Any, NamedTuple, Protocol

from torch import nn


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

    def groups(self, network: nn.Module) -> tuple[Group, ...]:
        """What it trains of a network, the uppermost stage first."""
        ...

    def trains(self, group: Group, epoch: int) -> bool:
        """Whether a group is trained in an epoch, counted from 0."""
        ...

    def lr_scale(self, group: Group) -> float:
        """A group's learning rate, as a multiple of the uppermost stage's."""
        ...


class Freezing:
    """A network, frozen but for what a strategy trains in the present epoch; without a strategy, all of it always.

    What is trained belongs to this model alone: the network of a strategy is a copy.
    """

    def __init__(self, network: nn.Module, strategy: Strategy | None) -> None:
        self.network = deepcopy(network) if strategy else network
        self.strategy = strategy
        self.groups = strategy.groups(self.network) if strategy else ()
        self.network.requires_grad_(False).eval()
        self.modules: list[nn.Module] = []  # those that are trained in this epoch; all is frozen without any
        self.begin(None)

    def begin(self, epoch: int | None) -> None:
        """Freeze and unfreeze what `epoch` wants; None unfreezes all that is ever trained, as DDP has to know."""
        self.modules = []
        for group in self.groups:
            assert self.strategy is not None, "there are no groups without one"
            is_trained = epoch is None or self.strategy.trains(group, epoch)
            for name in group.parameters:
                self.network.get_parameter(name).requires_grad_(is_trained)
            self.modules += map(self.network.get_submodule, group.modules) if is_trained else []

    def set_mode(self, training: bool) -> None:
        """Put what is trained into training mode, and everything else into eval mode, always."""
        if any(module.training for module in self.network.modules()):  # rarely: to look costs less than to set all
            self.network.eval()
        for module in self.modules:
            module.training = training

    def parameter_groups(self, head: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """For the optimizer: the head and all groups, matrices apart from vectors, which no weight decay pulls to 0."""
        if self.strategy is None:
            return [{"params": list(head.parameters())}]
        parts = [(self.strategy.head_scale, list(head.parameters()))]
        for group in self.groups:
            parts.append((self.strategy.lr_scale(group), list(map(self.network.get_parameter, group.parameters))))
        found = []
        for share, parameters in parts:
            for is_matrix, decay in ((True, weight_decay), (False, 0.0)):
                chosen = [parameter for parameter in parameters if (parameter.ndim > 1) == is_matrix]
                found += [{"params": chosen, "lr": lr * share, "weight_decay": decay}] if chosen else []
        return found

    def changing(self) -> set[str]:
        """The names of the parameters and buffers that training may change."""
        modules = [(name, self.network.get_submodule(name)) for group in self.groups for name in group.modules]
        buffers = {f"{name}.{buffer}" for name, module in modules for buffer in module._buffers}
        return {name for group in self.groups for name in group.parameters} | buffers
