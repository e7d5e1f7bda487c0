"""What is trained when: a function of the epoch over groups of parameters that stay the same throughout a run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from headstart.errors import UserError
from headstart.freezing import Group
from headstart.specs import from_spec, to_spec
from headstart.stages import Stage, added_to_stages, find_stages, stages_to_train

from .. import TRUSTED

TRAINED = ("all", "bias", "adapters")
BATCHNORM = ("moving", "fixed")


@dataclass(frozen=True)
class Strategy:
    """Which part of the backbone is trained beside the head, from which epoch on, and how fast.

    Raises UserError for a value that can't be.
    """

    # all; bias: biases and normalisations (BitFit, Ben Zaken et al. 2022, https://arxiv.org/abs/2106.10199); adapters.
    trained: str = "all"
    freeze: str | int | None = None  # stages that are left out altogether, see `stages_to_train`
    # A stage's learning rate is `decay` times that of the stage above it, the head's is `head_scale` times that of the
    # uppermost; with `unfreeze_every`, the head is trained alone at first, and every so many epochs one more stage
    # joins in, from the top (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146).
    decay: float = 1.0
    head_scale: float = 1.0
    unfreeze_every: int = 0
    head_first: bool = False  # on frozen features (LP-FT, Kumar et al. 2022, https://arxiv.org/abs/2202.10054)
    batchnorm: str = "moving"  # while it is trained, it normalises by its batch; fixed: by the statistics it came with
    # adapt(network, modules, image) adds what is trained to some of its modules; or its spec, as in a checkpoint.
    adapt: Callable[[nn.Module, set[str], Tensor], None] | dict[str, Any] | None = None

    def __post_init__(self) -> None:
        name = "model.strategy"
        for key, choices in (("trained", TRAINED), ("batchnorm", BATCHNORM)):
            if getattr(self, key) not in choices:
                raise UserError(f"{name}.{key}={getattr(self, key)}: choose {' or '.join(choices)}")
        if not 0 < self.decay <= 1:
            raise UserError(f"{name}.decay={self.decay} must be above 0, and 1 at most")
        if self.head_scale <= 0 or self.unfreeze_every < 0:
            raise UserError(f"{name}.head_scale={self.head_scale} must be above 0, {name}.unfreeze_every at least 0")
        if (self.trained == "adapters") != (self.adapt is not None):
            raise UserError(f"{name}.trained={self.trained} doesn't go with {name}.adapt: strategy=lora sets both")
        if isinstance(self.adapt, dict):
            object.__setattr__(self, "adapt", from_spec(self.adapt, TRUSTED))

    def values(self) -> dict[str, Any]:
        """Plain values from which `Strategy(**values)` makes the same again."""
        return asdict(self) | {"adapt": to_spec(self.adapt) if callable(self.adapt) else None}

    def groups(self, network: nn.Module, image: Tensor) -> tuple[Group, ...]:
        """Add adapters to `network` if there are any, and return what is trained of it, the uppermost stage first.

        Raises UserError when nothing would be trained, or the network has nothing to add adapters to.
        """
        chosen = stages_to_train(find_stages(network), "none" if self.freeze is None else self.freeze)
        if callable(self.adapt):
            before = {id(parameter) for parameter in network.parameters()}
            self.adapt(network, {name for stage in chosen for name in stage.modules}, image)
            chosen = added_to_stages(network, chosen, before)
        found = tuple(self._group(network, stage, depth) for depth, stage in enumerate(reversed(chosen)))
        if not any(group.parameters for group in found):
            raise UserError(f"backbone.freeze={self.freeze} leaves nothing to train: strategy=frozen does that")
        return found

    def trains(self, group: Group, epoch: int) -> bool:
        """Whether a group is trained in an epoch, counted from 0; else it is frozen, and in eval mode."""
        return epoch >= self.unfreeze_every * (group.depth + 1)

    def lr_scale(self, group: Group) -> float:
        """A group's learning rate, as a multiple of the uppermost one's."""
        return self.decay**group.depth

    def _group(self, network: nn.Module, stage: Stage, depth: int) -> Group:
        modules = {name: network.get_submodule(name) for name in stage.modules}
        fixed = nn.modules.batchnorm._BatchNorm if self.batchnorm == "fixed" else ()
        trained = tuple(name for name, module in modules.items() if not isinstance(module, fixed))
        if self.trained == "all":
            return Group(depth, stage.parameters, trained)
        names = stage.parameters if self.adapt else _biases_and_norms(network, stage)
        owners = {name.rpartition(".")[0] for name in names}
        return Group(depth, tuple(names), tuple(name for name in trained if name in owners))


def _biases_and_norms(network: nn.Module, stage: Stage) -> list[str]:
    """Biases, and the vectors that scale each channel: those of modules without a matrix, which are the norms."""
    sizes = {name: parameter.ndim for name, parameter in network.named_parameters()}
    matrices = {name.rpartition(".")[0] for name in stage.parameters if sizes[name] > 1}
    vectors = [name for name in stage.parameters if sizes[name] == 1]
    return [name for name in vectors if name.endswith("bias") or name.rpartition(".")[0] not in matrices]
