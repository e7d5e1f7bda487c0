"""The LightningModule: a frozen backbone, a trainable head, and what is measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)
from torch.optim import AdamW, Optimizer
from torchmetrics import MetricCollection

from headstart.backbone import Backbone, compute_features, features_to_train
from headstart.freezing import Freezing
from headstart.kinds import with_scheduler
from headstart.resume.checkpoints import describe_model, drop_backbone, load_model, restore_backbone

from .. import BACKBONES, TRUSTED
from .metrics import direction, metrics
from .optimizer import optimize
from .strategy import Strategy

Batch = tuple[Tensor, Tensor]


class Classifier(LightningModule):
    """Logits for uint8 images, from a head that is trained on the features of a frozen backbone.

    Frozen is four things: no gradients, eval mode that survives every `.train()`, no autograd graph, and an optimizer
    that holds nothing but the head. A `strategy` (or its values) trains some of the backbone, too. A batch holds images
    [batch, 3, height, width], or their features. `head(num_features, num_classes)`, `optimizer(parameters, lr=,
    weight_decay=)` and `scheduler(optimizer)` are functions. `class_weights` of the loss are in label order.
    """

    mean: Tensor
    std: Tensor
    class_weights: Tensor | None
    full_batch = False  # whether features come in one batch, rather than in batches of features.batch_size

    def __init__(
        self,
        backbone: Backbone,
        head: Callable[..., nn.Module],
        classes: Sequence[str],
        lr: float = 2e-3,
        weight_decay: float = 0.01,
        label_smoothing: float = 0.0,
        optimizer: Callable[..., Optimizer] = AdamW,
        scheduler: Callable[..., Any] | None = None,
        monitor: str = "val/accuracy",
        strategy: Strategy | dict[str, Any] | None = None,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.classes, self.monitor = tuple(classes), monitor
        self.pretrained, self.preprocessing = backbone, backbone.preprocessing
        self.lr, self.weight_decay, self.label_smoothing = lr, weight_decay, label_smoothing
        self.optimizer, self.scheduler = optimizer, scheduler
        self.mix: Callable[[Tensor, Tensor], Batch] | None = None  # training images with each other, and their labels
        self.strategy = Strategy(**strategy) if isinstance(strategy, dict) else strategy
        self.freezing = Freezing(backbone, self.strategy)
        self.backbone = self.freezing.network.to(memory_format=torch.channels_last)
        self.head = head(backbone.num_features, len(self.classes))
        weights = torch.tensor(class_weights) if class_weights else None
        for name, value in zip(("mean", "std"), self.preprocessing.mean_and_std(), strict=True):
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("class_weights", weights, persistent=False)
        self.val_metrics, self.test_metrics = (metrics(len(classes)).clone(f"{split}/") for split in ("val", "test"))
        parts = {"head": head, "optimizer": optimizer, "scheduler": scheduler}
        values = {"lr": lr, "weight_decay": weight_decay, "label_smoothing": label_smoothing, "monitor": monitor}
        values |= {"class_weights": class_weights, "strategy": self.strategy.values() if self.strategy else None}
        self.save_hyperparameters(describe_model(backbone, self.classes, parts, values), logger=False)

    def train(self, mode: bool = True) -> Self:
        """Switch the head to training or evaluation; what is frozen stays in eval mode, whoever asks."""
        self.training = mode
        for part in self.children():
            if part is not self.backbone:
                part.train(mode)
        self.freezing.set_mode(mode)
        return self

    def on_train_start(self) -> None:
        """Begin an epoch, maybe in its middle: Lightning began to load before it read the checkpoint."""
        if self.trainer.ckpt_path:
            iter(self.trainer.fit_loop._data_fetcher)  # pyright: ignore[reportArgumentType, reportCallIssue]
        self.on_train_epoch_start()

    def on_train_epoch_start(self) -> None:
        """Freeze and unfreeze what the epoch wants."""
        self.freezing.begin(self.current_epoch)
        self.train()

    def features(self, images: Tensor) -> Tensor:
        """Features [batch, num_features] in float32 for uint8 images [batch, 3, height, width]; features stay."""
        if images.dtype != torch.uint8:
            return images
        if self.training and not self.freezing.frozen:
            return features_to_train(self.backbone, images, self.mean, self.std)
        return compute_features(self.backbone, images, self.mean, self.std)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [batch, num_classes] in float32 for uint8 images [batch, 3, height, width], or for features."""
        features = self.features(images)
        # The head costs next to nothing: it keeps full precision, whatever the backbone runs in.
        with torch.autocast(self.device.type, enabled=False):
            return self.head(features)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any] | None:
        """Return the mean `loss` of one batch of images, or features, and labels; its `hits`, and its `images`."""
        images, labels = self.mix(*batch) if self.mix else batch
        return self._training_loss(self(images), labels)

    def _training_loss(self, logits: Tensor, labels: Tensor) -> dict[str, Any]:
        loss = F.cross_entropy(logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing)
        labels = labels.argmax(dim=1) if labels.ndim == 2 else labels  # of mixed images: the likelier class
        return {"loss": loss, "hits": (logits.argmax(dim=1) == labels).sum(), "images": len(labels)}

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Measure one batch of validation images; returns the logits."""
        return self._measure(batch, "val", self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Measure one batch of test images; returns the logits."""
        return self._measure(batch, "test", self.test_metrics)

    def _measure(self, batch: Batch, split: str, measured: MetricCollection) -> Tensor:
        images, labels = batch
        logits = self(images)
        measured.update(logits, labels)
        self.log(f"{split}/loss", F.cross_entropy(logits, labels), batch_size=len(labels), sync_dist=True)
        self.log_dict(measured)
        return logits

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Give what is trained to the optimizer, and nothing else; raises UserError for values that it can't use."""
        groups = self.freezing.parameter_groups(self.head, self.lr, self.weight_decay)
        return with_scheduler(optimize(self, groups, direction(self.monitor)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen."""
        drop_backbone(checkpoint, self.freezing.changing())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what is frozen from here; raises UserError when the checkpoint means other weights."""
        restore_backbone(checkpoint, self.backbone, self.pretrained.digest)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Rebuild a trained classifier, in eval mode on the CPU; raises UserError for a file that is none."""
        return load_model(cls, checkpoint_path, BACKBONES, TRUSTED)
