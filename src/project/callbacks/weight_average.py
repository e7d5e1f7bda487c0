"""Averages the weights over the steps of training: the average is validated, kept as the best, and tested."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from headstart.errors import UserError

KEY = "ema"


class WeightAverage(Callback):
    """An exponential moving average of everything that is trained, with BatchNorm's means and variances.

    After step t the average moves by 1 - min(decay, (1 + t) / (10 + t)) towards the weights, as TensorFlow's does with
    `num_updates`: it needs no thousand steps to forget where training began. In checkpoints, `state_dict` holds the
    average and `ema` the weights that training goes on from. Lightning's own WeightAveraging copies the whole model,
    and writes the frozen backbone into every checkpoint.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise UserError(f"decay={decay} (callbacks.ema): give a number from 0 up, and below 1")
        self.decay = decay
        self.other: dict[str, Tensor] = {}  # the average; while the model holds that, its own weights
        self.swapped = False
        self.step = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a model whose steps can't be averaged."""
        if not pl_module.automatic_optimization:
            raise UserError("callbacks=ema averages the steps of gradient descent: add solver=adamw")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights as they are."""
        self.step = trainer.global_step
        self._begin(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take a step into the average, behind the last of the batches that it was made of."""
        self._update(trainer, pl_module)

    @torch.no_grad()
    def _update(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.global_step > self.step and not self.swapped:
            self.step = trainer.global_step
            self._begin(model)
            current = _trained(model)
            decay = min(self.decay, (1 + self.step) / (10 + self.step))
            averages = [self.other[name] for name in current]
            get_ema_multi_avg_fn(decay)(averages, list(current.values()), self.step)

    def _begin(self, model: LightningModule) -> None:
        """Also with what is trained from a later epoch on only."""
        new = {name: value for name, value in _trained(model).items() if name not in self.other}
        self.other |= {name: value.detach().clone() for name, value in new.items()}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        if trainer.state.fn == "fit":
            self._swap(pl_module)

    on_validation_end = on_validation_start  # go on with the weights

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the model."""
        self._swap(pl_module)

    @torch.no_grad()
    def _swap(self, model: LightningModule) -> None:
        places = model.state_dict()
        for name, value in self.other.items():
            self.other[name] = places[name].clone()
            places[name].copy_(value)
        self.swapped = not self.swapped

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save both; the callback that saves may stand before this one, with this step not in the average yet."""
        self._update(trainer, pl_module)
        state = checkpoint["state_dict"]
        mine = {name: state[name] for name in self.other}
        average, weights = (mine, self.other) if self.swapped else (self.other, mine)
        checkpoint["state_dict"] = state | average
        checkpoint[KEY] = {"weights": dict(weights), "step": self.step}

    @torch.no_grad()
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on training with both; a test wants the average, which the model has by now."""
        if trainer.state.fn == "fit" and KEY in checkpoint:
            self.other = {name: value.clone() for name, value in checkpoint[KEY]["weights"].items()}
            self._swap(pl_module)
            self.swapped = False


def _trained(model: LightningModule) -> dict[str, Tensor]:
    """Weights that get gradients, and what BatchNorm counts in training, by their names in the state_dict."""
    found: dict[str, Tensor] = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    for prefix, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training and module.track_running_stats:
            found |= {f"{prefix}.{name}": value for name, value in module.named_buffers() if value.is_floating_point()}
    return found
