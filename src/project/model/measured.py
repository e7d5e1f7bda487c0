"""What a classifier is measured by, on validation and test images."""

from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix

from .metrics import classification_metrics

Batch = tuple[Tensor, Tensor]


class Measured(LightningModule):
    """The half of a classifier that validates and tests: whatever its `forward` says of `num_classes` classes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.val_metrics = classification_metrics(num_classes).clone(prefix="val/")
        self.test_metrics = classification_metrics(num_classes).clone(prefix="test/")
        self.confusion_matrix = MulticlassConfusionMatrix(num_classes)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure one batch of validation images."""
        self._measure(batch, "val", self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure one batch of test images."""
        self.confusion_matrix.update(self._measure(batch, "test", self.test_metrics), batch[1])

    def on_test_start(self) -> None:
        """Forget what an earlier test counted: Lightning resets only the metrics that it logs."""
        self.confusion_matrix.reset()

    def _measure(self, batch: Batch, split: str, metrics: MetricCollection) -> Tensor:
        images, labels = batch
        logits = self(images)
        metrics.update(logits, labels)
        self.log(f"{split}/loss", F.cross_entropy(logits, labels), batch_size=len(labels), sync_dist=True)
        self.log_dict(metrics)
        return logits
