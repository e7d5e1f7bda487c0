"""What is trained when: a function of the epoch over groups of parameters that stay the same throughout a run."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from headstart.errors import UserError
from headstart.extras.lora import ADAPTER, add_adapters
from headstart.stages import Stage, find_stages, stages_to_train

TRAINED = ("all", "bias", "lora")
BATCHNORM = ("moving", "fixed")


class Group(NamedTuple):
    """Parameters of one stage of the backbone, and the modules that are in training mode while they are trained."""

    depth: int  # 0 is the stage below the head
    parameters: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Strategy:
    """Which part of the backbone is trained beside the head, from which epoch on, and how fast.

    `trained` is `all`, `bias` (biases and normalisations: BitFit, Ben Zaken et al. 2022,
    https://arxiv.org/abs/2106.10199) or `lora` (adapters of `rank` beside all linear layers: Hu et al. 2022,
    https://arxiv.org/abs/2106.09685). `freeze` leaves stages out altogether, see `stages_to_train`. A stage's learning
    rate is `decay` times that of the stage above it, the head's is `head_scale` times that of the uppermost
    (discriminative fine-tuning: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146). With `thaw_every`, the head
    is trained alone at first, and every so many epochs one more stage joins in, from the top (their gradual
    unfreezing). With `head_first`, the head is trained on the frozen features before the first epoch (LP-FT: Kumar et
    al. 2022, https://arxiv.org/abs/2202.10054). A trained BatchNorm normalises by the statistics of its batch, which
    are `moving`, or by those it came with, which are `fixed` then: the features begin as the frozen ones.

    Raises:
        UserError: one of these values can't be.
    """

    trained: str = "all"
    freeze: str | int | None = None
    decay: float = 1.0
    head_scale: float = 1.0
    unfreeze_every: int = 0
    head_first: bool = False
    batchnorm: str = "moving"
    rank: int = 8

    def __post_init__(self) -> None:
        name = "model.strategy"
        for key, choices in (("trained", TRAINED), ("batchnorm", BATCHNORM)):
            if getattr(self, key) not in choices:
                raise UserError(f"{name}.{key}={getattr(self, key)}: choose {' or '.join(choices)}")
        if not 0 < self.decay <= 1 or not self.head_scale > 0:
            raise UserError(
                f"{name}.decay={self.decay} must be above 0, 1 at most; {name}.head_scale={self.head_scale} above 0"
            )
        if self.unfreeze_every < 0 or self.rank < 1:
            raise UserError(
                f"{name}.unfreeze_every={self.unfreeze_every} must be epochs, {name}.rank={self.rank} above 0"
            )

    def groups(self, network: nn.Module) -> tuple[Group, ...]:
        """Add adapters to `network` if that is the strategy, and return what it trains, the uppermost stage first.

        Raises:
            UserError: nothing would be trained, or there are no linear layers for adapters.
        """
        names = {
            stage.name
            for stage in stages_to_train(find_stages(network), "none" if self.freeze is None else self.freeze)
        }
        if self.trained == "lora":
            stages = [stage for stage in find_stages(network) if stage.name in names]
            add_adapters(network, self.rank, {name for stage in stages for name in stage.modules})
        stages = [stage for stage in reversed(find_stages(network)) if stage.name in names]
        found = tuple(self._group(network, stage, depth) for depth, stage in enumerate(stages))
        if not any(group.parameters for group in found):
            raise UserError(f"backbone.freeze={self.freeze} leaves nothing to train: strategy=frozen does that")
        return found

    def trains(self, group: Group, epoch: int) -> bool:
        """Whether a group is trained in an epoch, counted from 0; else it is frozen, and in eval mode."""
        return epoch >= self.unfreeze_every * (group.depth + 1)

    def lr_scale(self, group: Group) -> float:
        """A group's learning rate, as a share of the uppermost one's."""
        return self.decay**group.depth

    def _group(self, network: nn.Module, stage: Stage, depth: int) -> Group:
        modules = {name: network.get_submodule(name) for name in stage.modules}
        trained = tuple(name for name in modules if self.batchnorm == "moving" or not _is_batchnorm(modules[name]))
        if self.trained == "all":
            return Group(depth, stage.parameters, trained)
        if self.trained == "lora":
            names = [name for name in stage.parameters if ADAPTER in name]
        else:
            names = _biases_and_norms(network, stage)
        owners = {name.rpartition(".")[0] for name in names}
        return Group(depth, tuple(names), tuple(name for name in trained if name in owners))


def _is_batchnorm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def _biases_and_norms(network: nn.Module, stage: Stage) -> list[str]:
    """Biases, and the vectors that scale each channel: those of modules without a matrix, which are the norms."""
    sizes = {name: parameter.ndim for name, parameter in network.named_parameters()}
    matrices = {name.rpartition(".")[0] for name in stage.parameters if sizes[name] > 1}
    vectors = [name for name in stage.parameters if sizes[name] == 1]
    return [name for name in vectors if name.endswith("bias") or name.rpartition(".")[0] not in matrices]
