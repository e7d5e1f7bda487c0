"""The LightningModule: a frozen backbone, a trainable head, and what is measured."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)
from torch.optim import AdamW, Optimizer

from headstart.backbone import Backbone
from headstart.forward import compute_features, normalise
from headstart.freezing import Freezing
from headstart.resume.checkpoints import describe_model, drop_backbone, read_checkpoint, rebuild, restore_backbone

from .measured import Batch, Measured
from .optimizer import optimize
from .strategy import Strategy


class Classifier(Measured):
    """Logits for uint8 images, from a head that is trained on the features of a frozen backbone.

    Frozen is four things: no gradients, eval mode that survives every `.train()`, no autograd graph, and an
    optimizer that holds nothing but the head. A `strategy` (or its values, as a checkpoint has them) trains some of the
    backbone, too; the rest stays frozen. A batch holds images, or their features from an earlier pass. Three
    arguments are functions: `head(num_features, num_classes)`, `optimizer(parameters, lr=, weight_decay=)` and
    `scheduler(optimizer)`, see `optimize`. `class_weights` are those of the training loss, in label order.
    """

    mean: Tensor
    std: Tensor
    class_weights: Tensor | None
    full_batch = False  # of features in one batch, rather than in batches of data.batch_size

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
        super().__init__(len(classes))
        self.classes = tuple(classes)
        self.lr, self.weight_decay, self.label_smoothing = lr, weight_decay, label_smoothing
        self.optimizer, self.scheduler, self.monitor = optimizer, scheduler, monitor
        self.preprocessing = backbone.preprocessing
        self.spec, self.digest = backbone.spec, backbone.digest
        self.mix: Callable[[Tensor, Tensor], Batch] | None = None  # training images with each other, and their labels
        self.strategy = Strategy(**strategy) if isinstance(strategy, dict) else strategy
        self.freezing = Freezing(backbone.network, self.strategy)
        self.backbone = self.freezing.network.to(memory_format=torch.channels_last)
        self.head = head(backbone.num_features, len(self.classes))
        weights = torch.tensor(class_weights) if class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)
        self._register()
        parts = {"head": head, "optimizer": optimizer, "scheduler": scheduler}
        values: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "label_smoothing": label_smoothing}
        values |= {"monitor": monitor, "class_weights": class_weights}
        values["strategy"] = asdict(self.strategy) if self.strategy else None
        self.save_hyperparameters(describe_model(backbone, self.classes, parts, values), logger=False)

    def _register(self) -> None:
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.preprocessing, name)).view(1, 3, 1, 1) * 255
            self.register_buffer(name, values, persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Switch the head to training or evaluation; what is frozen stays in eval mode, whoever asks."""
        self.training = mode
        for part in self.children():
            if part is not self.backbone:
                part.train(mode)
        self.freezing.set_mode(mode)
        return self

    def on_train_start(self) -> None:
        """Freeze and unfreeze what the epoch wants, maybe in its middle, where a run goes on."""
        # Counting the schedule's steps, Lightning began to load before it read the checkpoint.
        if self.trainer.ckpt_path:
            iter(self.trainer.fit_loop._data_fetcher)  # pyright: ignore[reportArgumentType, reportCallIssue]
        self.on_train_epoch_start()

    def on_train_epoch_start(self) -> None:
        """The same at every epoch's begin."""
        self.freezing.begin(self.current_epoch)
        self.train()

    def features(self, images: Tensor) -> Tensor:
        """Features [batch, num_features] in float32 for uint8 images [batch, 3, height, width]; features stay."""
        if images.dtype != torch.uint8:
            return images
        if self.training and not self.freezing.is_frozen:
            return self.backbone(normalise(images, self.mean, self.std)).float()
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
        if labels.ndim == 2:  # shares of mixed images: to name the class with the largest is a hit
            labels = labels.argmax(dim=1)
        return {"loss": loss, "hits": (logits.argmax(dim=1) == labels).sum(), "images": len(labels)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Give what is trained to the optimizer, and nothing else; raises UserError for values that it can't use."""
        groups = self.freezing.parameter_groups(self.head, self.lr, self.weight_decay)
        parts = (self.optimizer, self.scheduler, self.lr, self.weight_decay, self.monitor)
        return optimize(groups, *parts, lambda: self.trainer.estimated_stepping_batches)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen."""
        drop_backbone(checkpoint, self.freezing.changing())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what is frozen from here; raises UserError when the checkpoint means other weights."""
        restore_backbone(checkpoint, self.backbone, self.digest)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Rebuild a trained classifier, in eval mode on the CPU; raises UserError for a file that is none."""
        checkpoint = read_checkpoint(checkpoint_path)
        model = rebuild(cls, checkpoint)
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"])
        return model.eval()
