"""What comes before a backbone is trained, if the strategy says so: its head, on frozen features."""

import logging
from functools import partial

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from omegaconf import DictConfig

from headstart.fit import TrainingMeans, fit_head
from headstart.resume.signals import StopOnSignal, StopRequest
from headstart.resume.steps import FiniteLoss, StepSeed
from headstart.tracking.history import History

from . import build
from .callbacks.epoch_line import EpochLine
from .data.datamodule import ImageData
from .model.classifier import Classifier
from .model.logistic_regression import LogisticRegression, is_linear
from .model.optimizer import warmup_cosine

EPOCHS = 20

log = logging.getLogger(__name__)


def train_head_first(cfg: DictConfig, model: Classifier, images: ImageData, request: StopRequest) -> None:
    """Train the model's head on the features of the backbone as it is; curve and best weights go to `head/`."""
    log.info("first the head, on frozen features")
    # Solved for where it is linear, else by gradient descent.
    descent = partial(Classifier, lr=4e-3, scheduler=partial(warmup_cosine, warmup=0.0))
    make = LogisticRegression if is_linear(model.head) else descent
    options = {"label_smoothing": model.label_smoothing, "class_weights": images.class_weights}
    head_model = make(build.backbone(cfg), build.head(cfg), model.classes, monitor=model.monitor, **options)
    folder = f"{cfg.run_dir}/head"
    data = build.cached_features(cfg, images, head_model)
    guards = [StopOnSignal(request), FiniteLoss(data.files_of_batch), TrainingMeans()]
    best = ModelCheckpoint(folder, "best", "val/loss", enable_version_counter=False)
    own = [EarlyStopping("val/loss", patience=3), best, StepSeed(cfg.seed), History(folder), EpochLine()]
    shared_out = {} if isinstance(cfg.trainer.get("strategy"), str | None) else {"strategy": "ddp"}  # a head is small
    trainer = build.trainer_with(cfg, [*guards, *own], logger=False, max_epochs=EPOCHS, **shared_out)
    fit_head(model.head, head_model, data, trainer)
    log.info("then the backbone")
