"""Training on images in a bare PyTorch loop, and the watch for the same in a run."""

import time
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)

from headstart.backbone import DepthwiseInFloat32, normalise
from project.data.datamodule import ImageData
from project.model.classifier import Classifier


class BatchTimes(Callback):
    """Images a second from the end of the `warm`-th training batch to that of the last one."""

    def __init__(self, warm: int) -> None:
        self.warm, self.images, self.seconds, self._started = warm, 0, 0.0, 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start the watch, or look at it."""
        if batch_idx + 1 == self.warm:
            self._started = time.perf_counter()
        elif batch_idx >= self.warm:
            self.images += len(batch[1])
            self.seconds = time.perf_counter() - self._started

    @property
    def images_per_second(self) -> float:
        """Over all batches but the warm ones."""
        return self.images / self.seconds


def bare_loop(model: Classifier, data: ImageData, trainer: Trainer, warm: int, count: int) -> float:
    """Images a second of the same decoding, forward and backward pass, and optimizer."""
    trainer.strategy.connect(model)
    model.trainer = data.trainer = trainer
    data.setup("fit")
    network, head, mean, std = model.backbone, model.head, model.mean, model.std
    trained = bool(model.strategy)
    model.freezing.begin(0)
    model.train()
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    seen, started = 0, 0.0
    for number, (images, labels) in enumerate(islice(data.train_dataloader(), warm + count)):
        optimizer.zero_grad()
        with trainer.precision_plugin.forward_context():
            with torch.set_grad_enabled(trained), DepthwiseInFloat32():
                features = network(normalise(images, mean, std)).float()
            with torch.autocast("cpu", enabled=False):
                loss = F.cross_entropy(head(features), labels)
        loss.backward()
        optimizer.step()
        seen += len(labels) if number >= warm else 0
        started = time.perf_counter() if number + 1 == warm else started
    return seen / (time.perf_counter() - started)
