"""Find a learning rate: `python scripts/find_lr.py head=mlp data=folder data.root=PATH ...` takes what train.py takes.

A short training, in which the rate rises at every step, says at which one the loss falls fastest.
"""

import logging
import sys
import time
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from headstart.errors import UserError, readable_errors
from headstart.machine import prepare_process, quick_imports, terminal
from headstart.resume.command_line import check, composed
from headstart.resume.stored_config import merge_overrides
from project import TRUSTED

SEARCH = (  # endless, with nothing kept and nothing validated
    "callbacks=none", "logger=none", "trainer.max_epochs=-1",
    "+trainer.num_sanity_val_steps=0",
)  # fmt: skip


def main(arguments: list[str]) -> None:
    """Search, draw the curve, and print the rate."""
    console = terminal(soft_wrap=True)
    if {"-h", "--help"} & set(arguments):
        console.print(__doc__)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    folder = Path("logs/find_lr") / time.strftime("%Y-%m-%d_%H-%M-%S")
    with composed(merge_overrides(arguments, [*SEARCH, f"run_dir={folder}", "sweep_dir=null"]), TRUSTED) as cfg:
        if "lr" not in cfg.model:
            raise UserError("solver=lbfgs has no learning rate: add solver=adamw, or a head for it")
        check(cfg)
        OmegaConf.update(cfg, "trainer.limit_val_batches", 0, force_add=True)  # which a run may not have
        lr = search(cfg, folder)
    if lr is None:
        raise UserError(f"the loss falls at no learning rate, see {folder / 'lr.png'}")
    console.print(f"model.lr={lr:g}: there the loss falls fastest, see {folder / 'lr.png'}")


def search(cfg: DictConfig, folder: Path) -> float | None:
    """The rate at which the loss falls fastest, if any; the curve is drawn in `folder`."""
    with quick_imports():
        from lightning.pytorch.callbacks import ProgressBar

        from headstart.extras.find_lr import RateSearch
        from headstart.resume.steps import StepSeed
        from project import build

    prepare_process()
    images = build.images(cfg)
    model, callback = build.model(cfg, images), RateSearch()
    trainer = build.trainer(cfg, [], [callback])
    kept = [own for own in trainer.callbacks if isinstance(own, RateSearch | StepSeed | ProgressBar)]  # pyright: ignore[reportAttributeAccessIssue]
    trainer.callbacks = kept  # pyright: ignore[reportAttributeAccessIssue] (Lightning sets it by a mixin)
    model.lr = 1.0  # which the search multiplies
    trainer.fit(model, datamodule=build.features(cfg, images, model))
    folder.mkdir(parents=True, exist_ok=True)
    callback.plot(folder / "lr.png")
    return callback.suggestion()


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
