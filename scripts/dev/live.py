"""What Lightning and our callbacks cost a backbone that is trained: `python scripts/dev/live.py [data=folder ...]`.

For a CPU; takes what train.py takes. For each way of training images live, a row of images a second: of a run with all
its callbacks, and of a bare loop with the same images, network and precision, cross-entropy and AdamW, in turns.
Validation and the first batches, which warm up, aren't counted.
"""

import logging
import statistics
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from headstart.errors import readable_errors
from headstart.machine import prepare_process, quick_imports, terminal
from headstart.resume.command_line import check, composed
from headstart.resume.stored_config import merge_overrides
from project import TRUSTED

WAYS = (
    ["strategy=finetune", "backbone=efficientnet_lite0"],
    ["strategy=finetune", "backbone=resnet18", "backbone.weights=null"],
    ["strategy=frozen", "augment=light", "solver=adamw", "backbone=efficientnet_lite0"],
)
ROUNDS, WARM, BATCHES = 3, 3, 15
ROW = "| {:66} | {:>9} | {:>9} | {:>18} |"

say = terminal(soft_wrap=True).print


def main(arguments: list[str]) -> None:
    """A row for each way."""
    if {"-h", "--help"} & set(arguments):
        say(__doc__)
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    with quick_imports():
        import torch

        from headstart.features.trial import machine
    prepare_process()
    say(f"{machine()}, torch {torch.__version__}")
    say(ROW.format("", "in a run", "bare loop", "ratio"))
    for way in WAYS:
        rates = list(in_turns(merge_overrides(way, arguments)))
        medians = [statistics.median(values) for values in zip(*rates, strict=True)]
        ratios = [one / other for one, other in rates]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        say(ROW.format(" ".join(way), *(f"{rate:.1f}" for rate in medians), ratio))


def in_turns(overrides: list[str]) -> Iterator[tuple[float, float]]:
    """Images a second of a run and of the bare loop, of each round; the first to measure takes turns, too."""
    few = ["trainer.max_epochs=1", f"+trainer.limit_train_batches={WARM + BATCHES}", "+trainer.limit_val_batches=1"]
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="headstart-live-") as folder:
            typed = merge_overrides(overrides, [*few, "progress=none", f"run_dir={folder}", "sweep_dir=null"])
            with composed(typed, TRUSTED) as cfg:
                check(cfg)
                loops = [in_a_run, bare] if number % 2 else [bare, in_a_run]
                found = {loop: loop(cfg) for loop in loops}
        yield found[in_a_run], found[bare]


def in_a_run(cfg: Any) -> float:
    """Images a second of a fit with its loggers and callbacks."""
    from comparison.live import BatchTimes

    model, data, trainer = objects(cfg)
    times = BatchTimes(WARM)
    trainer.callbacks.append(times)
    trainer.fit(model, data)
    return times.images_per_second


def bare(cfg: Any) -> float:
    """Images a second of the same without Lightning, loggers and callbacks."""
    from comparison.live import bare_loop

    return bare_loop(*objects(cfg), WARM, BATCHES)


def objects(cfg: Any) -> tuple[Any, Any, Any]:
    """What train.py would fit with."""
    from lightning.pytorch import seed_everything

    from project import build

    seed_everything(0, verbose=False)
    images = build.images(cfg)
    model = build.model(cfg, images)
    return model, build.features(cfg, images, model), build.trainer(cfg, build.loggers(cfg))


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
