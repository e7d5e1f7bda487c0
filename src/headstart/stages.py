"""The stages of a network from its input to its output: what can be frozen, trained or slowed down by itself."""

from typing import NamedTuple

from torch import nn

from .errors import UserError

Item = tuple[str, nn.Module]

STEM = "stem"
WRAPPED = "network."  # a network that has got another pooling: see Pooled
SEVERAL = 3  # siblings of one class are the network's blocks, however unequal they are


class Stage(NamedTuple):
    """A part of a network; each parameter and each module, except for containers of several stages, is in one.

    `parameters` and `modules` are names, as `named_parameters` and `named_modules` of the network give them. `block`
    is false for the stem before the first block and for what has weights after the last one.
    """

    name: str
    parameters: tuple[str, ...]
    modules: tuple[str, ...]
    block: bool = True


def find_stages(network: nn.Module) -> tuple[Stage, ...]:
    """The stem, the blocks (of a CNN: its groups of blocks) and what follows, for networks of any library.

    Modules are registered in the order in which images go through them. The one child that holds most of the
    parameters is looked into until there are several alike: ResNet's layer1 to layer4, a transformer's blocks.
    What has weights between two blocks, such as a downsampling convolution, belongs to the block after it; norms,
    activations and pooling belong to what is before them; tokens and position embeddings to the stem.
    """
    before, trunk, after = _trunk(network)
    blocks = _blocks(trunk)
    groups: list[list[str]] = [[]]  # the modules of each stage, the stem's first
    waiting: list[str] = []  # with weights: of the next block
    for name, module in (*before, *trunk, *after):
        if name in blocks:
            groups.append([*waiting, name])
            waiting = []
        elif len(groups) > 1 and (waiting or _has_weights(module)):
            waiting.append(name)
        else:
            groups[-1].append(name)
    return _as_stages(network, [*groups, waiting] if waiting else groups, blocks)


def stages_to_train(stages: tuple[Stage, ...], freeze: str | int) -> tuple[Stage, ...]:
    """The stages that `freeze` leaves to be trained, in order.

    "all" freezes all and "none" none, "until:layer2" those up to layer2, which may be any unique ending of a name;
    an integer N freezes all but the last N blocks and what follows them.

    Raises UserError when `freeze` is none of these, or names no stage or more blocks than there are.
    """
    if freeze in ("all", "none"):
        return stages if freeze == "none" else ()
    if isinstance(freeze, str) and freeze.startswith("until:"):
        return stages[_find(stages, freeze.removeprefix("until:")) + 1 :]
    blocks = [index for index, stage in enumerate(stages) if stage.block]
    if isinstance(freeze, int) and not isinstance(freeze, bool) and 0 < freeze <= len(blocks):
        return stages[blocks[-freeze] :]
    raise UserError(
        f"freeze={freeze!r}: choose all, none, until:NAME with one of {', '.join(s.name for s in stages)}, "
        f"or the number of blocks to train, 1 to {len(blocks)}"
    )


def added_to_stages(network: nn.Module, stages: tuple[Stage, ...], before: set[int]) -> tuple[Stage, ...]:
    """The same stages with nothing but what was added to their modules: parameters whose `id` isn't in `before`.

    A network that is divided into stages anew could come out otherwise: what was a layer can look like a block.
    """
    added = [name for name, parameter in network.named_parameters() if id(parameter) not in before]
    found = []
    for stage in stages:
        inside = tuple(f"{name}." for name in stage.modules)
        modules = tuple(name for name, _ in network.named_modules() if name.startswith(inside))
        parameters = tuple(name for name in added if name.startswith(inside))
        found.append(Stage(stage.name, parameters, modules, stage.block))
    return tuple(found)


def _find(stages: tuple[Stage, ...], wanted: str) -> int:
    found = [i for i, stage in enumerate(stages) if f".{stage.name}".endswith(f".{wanted}")]
    if not wanted or len(found) != 1:
        raise UserError(f"freeze=until:{wanted}: the backbone's stages are {', '.join(s.name for s in stages)}")
    return found[0]


def _trunk(network: nn.Module) -> tuple[list[Item], list[Item], list[Item]]:
    """The modules before the blocks; the blocks, with what is between them; those after."""
    before: list[Item] = []
    after: list[Item] = []
    items = list(network.named_children())
    while (main := _main(items)) is not None:
        name, module = items[main]
        before, after = before + items[:main], items[main + 1 :] + after
        items = [(f"{name}.{child}", grandchild) for child, grandchild in module.named_children()]
        if isinstance(module, nn.ModuleList):  # nothing but a list of blocks, even when there is only one
            break
    return before, items, after


def _main(items: list[Item]) -> int | None:
    """Where the one module is that holds most of the parameters' tensors; None where several share them as equals."""
    sizes = [len(list(module.parameters())) for _, module in items]
    if 2 * max(sizes, default=0) <= sum(sizes):
        return None
    main = items[index := sizes.index(max(sizes))][1]
    alike = sum(type(module) is type(main) and _depth(module) > 0 for _, module in items)
    equals = alike >= SEVERAL and not isinstance(main, nn.ModuleList)
    return None if equals or _depth(main) == 0 else index


def _blocks(trunk: list[Item]) -> set[str]:
    """The names of the modules with the most in them: more than a convolution and its norm, where there are such."""
    weighted = [item for item in trunk if _has_weights(item[1])]
    depth = min(2, max((_depth(module) for _, module in weighted), default=0))
    return {name for name, module in weighted if _depth(module) >= depth}


def _depth(module: nn.Module) -> int:
    """How many levels of modules with parameters are below."""
    return max((1 + _depth(child) for child in module.children() if list(child.parameters())), default=0)


def _has_weights(module: nn.Module) -> bool:
    """Whether there is a matrix or a filter, and not only the scales and shifts of a norm."""
    return any(parameter.ndim > 1 for parameter in module.parameters())


def _as_stages(network: nn.Module, groups: list[list[str]], blocks: set[str]) -> tuple[Stage, ...]:
    """A stage for each group of modules; the stem also gets the parameters outside of all modules."""
    prefixes = [tuple(f"{name}." for name in group) for group in groups]
    others = tuple(prefix for inside in prefixes[1:] for prefix in inside)
    names, stages = [name for name, _ in network.named_parameters()], []
    for index, (group, inside) in enumerate(zip(groups, prefixes, strict=True)):
        parameters = [n for n in names if n.startswith(inside) or (index == 0 and not n.startswith(others))]
        modules = [n for n, _ in network.named_modules() if f"{n}.".startswith(inside)]
        block = next((name for name in group if name in blocks), None)
        name = STEM if index == 0 else block or group[0]
        stages.append(Stage(name.removeprefix(WRAPPED), tuple(parameters), tuple(modules), block is not None))
    return tuple(stage for stage in stages if stage.parameters or stage.modules)
