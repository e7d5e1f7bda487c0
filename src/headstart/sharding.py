"""Training with a model in parts, one on each device, as one device has no room for it: torch's `fully_shard`."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from .stages import find_stages


def is_shared_out(model: nn.Module) -> bool:
    """Whether no device has all of a model, so that one alone can't compute with it, and would wait for the others."""
    return any(isinstance(weight, DTensor) for weight in model.parameters())


class Sharded(ModelParallelStrategy):
    """Splits the parameters of a model's `backbone` and `head`, their gradients and the optimizer's state.

    A stage of the backbone is put together while it computes, and no longer. Checkpoints are whole, in one file, as
    those of one device.
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Share a model out over all devices."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def setup(self, trainer: Trainer) -> None:
        """Share the model out, unless it is by now, and make its optimizers of what this device has of it."""
        assert self.model is not None
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.model_to_device()
        if not isinstance(self.model.get_submodule("head"), FSDPModule):
            self._share_out(self.model.get_submodule("backbone"), self.model.get_submodule("head"))
        self.barrier()
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def _share_out(self, backbone: nn.Module, head: nn.Module) -> None:
        mesh = self.device_mesh["data_parallel"]
        backbone.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue] (all that it shares out)
        names = {name for stage in find_stages(backbone) for name in stage.modules}
        for name in names:
            if name.rpartition(".")[0] not in names:
                fully_shard(backbone.get_submodule(name), mesh=mesh)
        fully_shard(backbone, mesh=mesh)
        fully_shard(head, mesh=mesh)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Load what was trained; the model holds what is frozen already."""
        assert self.lightning_module is not None
        self.lightning_module.strict_loading = False
        return super().load_checkpoint(checkpoint_path, weights_only) | {"state_dict": {}}
