"""A network's graph for TensorBoard, noted while it computes one image: no tracing, so every network has one."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tensorboard.compat.proto.attr_value_pb2 import AttrValue  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.config_pb2 import RunMetadata  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.graph_pb2 import GraphDef  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.node_def_pb2 import NodeDef  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.versions_pb2 import VersionDef  # pyright: ignore[reportAttributeAccessIssue]
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@torch.no_grad()
def graph_of(model: nn.Module, images: Tensor) -> tuple[GraphDef, RunMetadata]:
    """A node for every function of torch's that `model(images)` calls, in the scopes of its modules.

    `torch.jit.trace`, which TensorBoard's own add_graph calls, takes a hundred times as long, is deprecated, and fails
    on networks whose forward looks at values. What happens inside a call of torch's, as in its attention, is one node.
    """
    notes = Notes(images)
    with notes.scopes(model), notes:
        model(images)
    return GraphDef(node=notes.nodes, versions=VersionDef(producer=22)), RunMetadata()


class Notes(TorchFunctionMode):
    """The nodes so far, and which of them made each tensor."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.nodes: list[NodeDef] = []
        self.made: dict[int, tuple[str, Tensor]] = {}  # by identity, as long as the tensor lives: with the graph
        self.scope: list[str] = []
        self.calls: dict[str, int] = {}  # of each scope
        self._note("images", "uint8", [images], [])

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, and note it if tensors come out of it."""
        result = func(*args, **(kwargs or {}))
        made = [one for one in _flat(result) if isinstance(one, Tensor)]
        name = getattr(func, "__name__", "")
        if made and name != "__get__":  # that of an attribute, such as .data
            inputs = [self.made[id(one)][0] for one in _flat([args, kwargs or {}]) if id(one) in self.made]
            self._note(name.strip("_"), name.strip("_"), made, inputs)
        return result

    def _note(self, name: str, operation: str, made: list[Tensor], inputs: list[str]) -> None:
        place = "/".join([*self.scope, name])
        number = self.calls[place] = self.calls.get(place, -1) + 1
        place = f"{place}_{number}" if number else place
        shapes = [TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in one.shape]) for one in made]
        attributes = {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))}
        inputs = list(dict.fromkeys(inputs))
        self.nodes.append(NodeDef(name=place, op=operation, input=inputs, attr=attributes))
        self.made |= {id(one): (place, one) for one in made}

    @contextmanager
    def scopes(self, model: nn.Module) -> Iterator[None]:
        """Inside, every module in the model is a scope by its name while it computes."""
        hooks = []
        for path, module in list(model.named_modules())[1:]:
            name = path.rpartition(".")[2]
            hooks.append(module.register_forward_pre_hook(lambda _, __, name=name: self.scope.append(name)))
            hooks.append(module.register_forward_hook(lambda *_: self.scope.pop() and None, always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _flat(value: Any) -> Iterable[Any]:
    """The values in lists, tuples and dicts of each other."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return [value]
    return [one for part in value for one in _flat(part)]
