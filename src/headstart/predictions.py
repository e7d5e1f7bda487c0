"""What a model says about every validation and test image, noted while its best checkpoint is measured."""

from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from .limits import table_of


@dataclass(frozen=True)
class Predictions:
    """Of a split's images, over all devices, in the table's order: `probabilities` are float32 [images, classes].

    `labels` are int64 [images]; `paths` are empty where no table knows them (images that stream by).
    """

    paths: tuple[str, ...]
    labels: Tensor
    probabilities: Tensor

    @property
    def predicted(self) -> Tensor:
        """The likeliest class of each image, int64 [images]."""
        return self.probabilities.argmax(dim=1)


class NotePredictions(Callback):
    """Keeps what a model that returns its logits from `validation_step` and `test_step` makes of images, by split.

    Only what `Trainer.validate` and `Trainer.test` go through, and not the validations within a fit. The memory is that
    of all probabilities: on the CPU, and for a moment on every device where there are several.
    """

    def __init__(self) -> None:
        self.splits: dict[str, Predictions] = {}
        self._noted: list[tuple[Tensor, Tensor]] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self._noted = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Note a batch."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._note(outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put all batches together."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._join("val", trainer)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self._noted = []

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Note a batch."""
        self._note(outputs, batch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put all batches together."""
        self._join("test", trainer)

    def _note(self, logits: Any, batch: Any) -> None:
        if isinstance(logits, Tensor):  # an owner's own step may return something else
            self._noted.append((logits.detach().float().softmax(dim=1).cpu(), batch[1].cpu()))

    def _join(self, split: str, trainer: Trainer) -> None:
        """Those of all devices, each of which had every `world_size`-th image."""
        noted, self._noted = self._noted, []
        probabilities, labels = map(torch.cat, zip(*noted, strict=True)) if noted else _nothing()
        rows = torch.arange(len(labels)) * trainer.world_size + trainer.global_rank
        if trainer.world_size > 1:
            parts = (_of_all(part, trainer) for part in (rows, labels, probabilities))
            rows, labels, probabilities = parts
            order = rows.argsort()
            rows, labels, probabilities = rows[order], labels[order], probabilities[order]
        table = table_of(trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue] (Lightning sets it)
        samples = table.part(split) if table else ()
        paths = tuple(samples[row].path for row in rows.tolist()) if samples else ()
        if len(labels):
            self.splits[split] = Predictions(paths, labels, probabilities)


def _nothing() -> tuple[Tensor, Tensor]:
    return torch.empty(0, 1), torch.empty(0, dtype=torch.int64)


def _of_all(part: Tensor, trainer: Trainer) -> Tensor:
    """The parts of all devices, one below the other; those without an image have nothing to say."""
    parts = gather_all_tensors(part.to(trainer.strategy.root_device))
    return torch.cat([one.cpu() for one in parts if len(one)] or [part])
