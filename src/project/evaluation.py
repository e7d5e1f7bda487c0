"""What a trained checkpoint comes to on a config's test images, which may be others than it was trained with."""

from pathlib import Path

from omegaconf import DictConfig

from headstart.errors import UserError
from headstart.fit import measure
from headstart.machine import prepare_process

from . import build
from .model.classifier import Classifier
from .reporting.results import print_metrics


def evaluate(cfg: DictConfig, checkpoint: str | Path) -> dict[str, float]:
    """Test a checkpoint on the config's data and return the metrics; raises UserError when the classes differ."""
    prepare_process()
    images = build.images(cfg)
    model = Classifier.load_from_checkpoint(checkpoint)
    if images.classes != model.classes:
        raise UserError(
            f"the checkpoint knows the classes {', '.join(model.classes)}; the data has {', '.join(images.classes)}"
        )
    images.preprocessing = model.preprocessing
    metrics = measure(model, build.features(cfg, images, model), build.trainer(cfg, []), splits=("test",))
    print_metrics(metrics)
    return metrics
