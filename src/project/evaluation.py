"""What a trained checkpoint comes to on a config's test images, which may be others than it was trained with."""

import logging
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from headstart.errors import UserError, listed
from headstart.fit import measure
from headstart.images.renaming import in_classes
from headstart.images.table import ImageTable
from headstart.machine import prepare_process
from headstart.predictions import NotePredictions, Predictions
from headstart.resume.checkpoints import read_checkpoint
from headstart.resume.same_data import class_change, data_changes

from . import build
from .model.classifier import Classifier
from .reporting.results import print_metrics

log = logging.getLogger(__name__)


class Measured(NamedTuple):
    """A model, what it said about the test images (whose labels number the model's classes), and the metrics."""

    model: Classifier
    predictions: Predictions
    metrics: dict[str, float]
    precision: str


def evaluate(cfg: DictConfig, checkpoint: str | Path, other_data: bool = False) -> dict[str, float]:
    """Test a checkpoint on the config's data, print the metrics and return them; raises as `measured` does."""
    metrics = measured(cfg, checkpoint, other_data).metrics
    print_metrics(metrics)
    return metrics


def measured(cfg: DictConfig, checkpoint: str | Path, other_data: bool = False, renamed: str = "") -> Measured:
    """Test a checkpoint on the config's data; `renamed` says what its class names mean, as `old=new,other=new`.

    Raises UserError for classes that the model doesn't know, and, unless `other_data` was asked for, when classes or
    test images are others: a split that is cut anew could hold images that were trained on.
    """
    prepare_process()
    images, trained = build.images(cfg), read_checkpoint(checkpoint)
    assert images.table is not None
    known = trained["hyper_parameters"]["classes"]
    if other_data and images.table.test:
        images.table = _of_known_classes(images.table, known, renamed)
    if change := class_change(trained, images.table):
        raise UserError(f"the checkpoint knows the classes {listed(known)}; in the data, {change}")
    changes = data_changes(trained, images.table, ("test",))
    if changes and not other_data:
        raise UserError(f"the run was tested on other images: {changes[0]}; say which to test on by data.root=...")
    if changes:
        log.info(f"not the images that the run was tested on: {changes[0]}")
    model = Classifier.load_from_checkpoint(checkpoint)
    images.preprocessing = model.preprocessing
    noted = NotePredictions()
    trainer = build.trainer(cfg, [], [noted])
    metrics = measure(model, build.features(cfg, images, model), trainer, splits=("test",))
    return Measured(model, noted.splits["test"], metrics, str(trainer.precision))


def _of_known_classes(table: ImageTable, known: list[str], renamed: str) -> ImageTable:
    """The table in the model's classes; says which of them have no test image, and which images aren't tested."""
    table = in_classes(table, known, renamed)
    there = {sample.label for sample in table.test}
    if lacking := [name for label, name in enumerate(known) if label not in there]:
        log.warning(
            f"there is no test image of {listed(lacking)}: what is measured are the other {len(there):,} classes"
        )
    if others := len(table.train) + len(table.val):
        everything = "data.val_fraction=0 data.test_fraction=1 tests all images of folders that are no splits"
        log.info(
            f"tested are {len(table.test):,} of {len(table.test) + others:,} images, those of the split; {everything}"
        )
    return table
