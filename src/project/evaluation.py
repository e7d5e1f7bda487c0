"""What a trained checkpoint comes to on a config's test images, which may be others than it was trained with."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from headstart.errors import UserError, listed
from headstart.fit import measure
from headstart.machine import prepare_process
from headstart.resume.checkpoints import read_checkpoint
from headstart.resume.same_data import class_change, data_changes

from . import build
from .model.classifier import Classifier
from .reporting.results import print_metrics

log = logging.getLogger(__name__)


def evaluate(cfg: DictConfig, checkpoint: str | Path, other_data: bool = False) -> dict[str, float]:
    """Test a checkpoint on the config's data and return the metrics.

    Raises UserError when the classes differ, and, unless `other_data` was asked for, when the test images do: a
    split that is cut anew could hold images that were trained on.
    """
    prepare_process()
    images, trained = build.images(cfg), read_checkpoint(checkpoint)
    assert images.table is not None
    if change := class_change(trained, images.table):
        known = listed(trained["hyper_parameters"]["classes"])
        raise UserError(f"the checkpoint knows the classes {known}; in the data, {change}")
    changes = data_changes(trained, images.table, ("test",))
    if changes and not other_data:
        raise UserError(f"the run was tested on other images: {changes[0]}; say which to test on by data.root=...")
    if changes:
        log.info(f"not the images that the run was tested on: {changes[0]}")
    model = Classifier.load_from_checkpoint(checkpoint)
    images.preprocessing = model.preprocessing
    metrics = measure(model, build.features(cfg, images, model), build.trainer(cfg, []), splits=("test",))
    print_metrics(metrics)
    return metrics
