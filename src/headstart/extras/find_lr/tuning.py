"""`model.lr=auto` and `data.batch_size=auto`: short trainings of a copy of the model say what the run begins with."""

import copy
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.utilities.seed import isolate_rng

from project.data.datamodule import ImageData
from project.model.classifier import Classifier
from project.reporting.plots import plot_rate_search

from ...errors import UserError
from ...features.cache import FeatureData
from ...files import short
from .rate_search import RateSearch

LR, BATCH_SIZE = "model.lr", "data.batch_size"
STAND_INS = {BATCH_SIZE: 64, LR: 1.0}  # what stands in each one's place until it is found, in the order of the search
FILE, PLOT = "found.json", "lr_finder.png"
MOST_ON_A_CPU = 64
STEPS_AN_EPOCH = 10  # at least: larger batches would hardly train
LARGEST = 1024

log = logging.getLogger(__name__)
MakeTrainer = Callable[..., Trainer]


def settle(
    wanted: Sequence[str],
    model: Classifier,
    data: ImageData | FeatureData,
    make_trainer: MakeTrainer,
    run_dir: Path,
    resumed: bool,
) -> dict[str, float]:
    """Set what is `wanted`, by its key, in `model` and `data`, and return it; `run_dir` keeps it for a resumed run.

    `make_trainer(*callbacks)` gives a Trainer that would train like the run's, without end. The search has a copy of
    the model and its own random numbers: the run is the same as one in which the values were typed.

    Raises:
        UserError: no learning rate makes the loss fall, or the batch size has to be found on several devices.
    """
    found = read_found(run_dir) if resumed else {}
    for key in [key for key in STAND_INS if key in wanted]:
        if key not in found:
            with isolate_rng():
                found[key] = (
                    find_lr(model, data, make_trainer, run_dir)
                    if key == LR
                    else find_batch_size(model, data, make_trainer())
                )
            write_found(run_dir, found)
        if key == LR:
            model.lr = model.hparams["lr"] = found[key]
        elif not isinstance(data, FeatureData):
            data.batch_size = int(found[key])
    return {key: found[key] for key in wanted}


def find_lr(model: Classifier, data: LightningDataModule, make_trainer: MakeTrainer, run_dir: Path) -> float:
    """The learning rate at which the loss falls fastest; the curve is drawn in `run_dir`.

    Raises:
        UserError: it never falls.
    """
    search, trial = RateSearch(), copy.deepcopy(model)
    trial.lr = STAND_INS[LR]
    trainer = make_trainer(search)
    trainer.fit(trial, datamodule=data)
    lr = search.suggestion()
    if trainer.is_global_zero:
        run_dir.mkdir(parents=True, exist_ok=True)
        plot_rate_search(search.rates, search.losses, lr, run_dir / PLOT)
    if lr is None:
        raise UserError(f"model.lr=auto: the loss falls at no rate, see {short(run_dir / PLOT)}; type a number")
    log.info(f"model.lr=auto: {lr:g}, where the loss falls fastest; see {short(run_dir / PLOT)}")
    return lr


def find_batch_size(model: Classifier, data: ImageData | FeatureData, trainer: Trainer) -> int:
    """The largest power of two that fits into a GPU's memory, and leaves an epoch steps enough.

    Raises:
        UserError: there are several devices, which Lightning can't search on.
    """
    usual, size = STAND_INS[BATCH_SIZE], 0
    if isinstance(data, FeatureData) or model.full_batch:
        reason = "it decides nothing that is trained here"
        size = int(usual)
    elif trainer.world_size > 1:
        raise UserError("data.batch_size=auto is found on one device: add trainer.devices=1, or type a number")
    else:
        assert data.table is not None, "make_data has called setup()"
        most = largest_batch(len(data.table.train))
        if trainer.strategy.root_device.type != "cuda":
            size, reason = min(MOST_ON_A_CPU, most), "without a GPU, more is no faster, and no error ends a search"
        else:
            size, reason = try_batch_sizes(copy.deepcopy(model), data, trainer, most), f"of {most} at most"
    log.info(f"data.batch_size=auto: {size} ({reason})")
    return size


def largest_batch(images: int) -> int:
    """The largest power of two, up to `LARGEST`, with which an epoch of so many images has `STEPS_AN_EPOCH` steps."""
    return min(LARGEST, 1 << max(images // STEPS_AN_EPOCH, 2).bit_length() - 1)


def try_batch_sizes(model: Classifier, data: LightningDataModule, trainer: Trainer, most: int) -> int:
    """The largest power of two from 2 to `most` with which three steps of training fit into memory."""
    data.batch_size = 2  # pyright: ignore[reportAttributeAccessIssue] (Lightning makes the first loader before it sets it)
    # Lightning returns its limit without having tried it: hence one above ours.
    found = Tuner(trainer).scale_batch_size(model, datamodule=data, mode="power", init_val=2, max_val=2 * most)
    assert found is not None, "it is skipped by fast_dev_run only, which this Trainer hasn't"
    return min(found, most)


def read_found(run_dir: Path) -> dict[str, float]:
    """What was found for the run in this folder; nothing where there is no whole file of it."""
    try:
        values = json.loads((run_dir / FILE).read_text())
        return {key: type(STAND_INS[key])(values[key]) for key in values}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def write_found(run_dir: Path, found: dict[str, float]) -> None:
    """Whole or not at all, for a run that is killed meanwhile."""
    run_dir.mkdir(parents=True, exist_ok=True)
    part = (run_dir / FILE).with_suffix(".part")
    part.write_text(json.dumps(found) + "\n")
    part.replace(run_dir / FILE)
