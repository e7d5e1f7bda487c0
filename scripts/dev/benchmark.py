"""What the feature cache is worth: `python scripts/dev/benchmark.py [rounds=2] [data=folder data.root=PATH ...]`.

Takes what train.py takes. Everything that is compared is measured in turns, since machines drift; a ratio is one of
values from the same round. Two rounds take about 18 minutes on 2 CPU cores and 3,781 photographs, nearly all of it in
the loops without a cache.
"""

import logging
import sys
import tempfile
from contextlib import AbstractContextManager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from headstart.errors import readable_errors
from headstart.machine import prepare_process, quick_imports, terminal
from headstart.resume.command_line import check, composed
from project import TRUSTED

LATEST = Path("logs/benchmark/latest.json")
PASS_ROUNDS = 5

console = terminal()


def main(arguments: list[str]) -> None:
    """Measure, write it to logs/benchmark, and print the table."""
    if {"-h", "--help"} & set(arguments):
        console.print(__doc__, soft_wrap=True)
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    given = [argument for argument in arguments if argument.startswith("rounds=")]
    rounds = int(given[-1].removeprefix("rounds=")) if given else 2
    typed = [argument for argument in arguments if argument not in given]
    overrides = [*typed, "trainer.max_epochs=20", "progress=none", "plots=false"]  # the plain loop draws none either
    with tempfile.TemporaryDirectory(prefix="headstart-benchmark-") as scratch:
        found = measure(overrides, Path(scratch), rounds)
    from comparison.table import print_table, write

    write(found | {"overrides": overrides}, LATEST)
    print_table(found)
    console.print(f"{LATEST}, {LATEST.with_suffix('.png')}")


def measure(overrides: list[str], scratch: Path, rounds: int) -> dict[str, Any]:
    """Everything, in the order in which it is best watched: the shortest first."""
    with quick_imports():
        from comparison import first_pass, runs

        from headstart.features.trial import machine
        from project import build

    prepare_process()
    with in_scratch(overrides, scratch) as cfg:
        check(cfg)
        images = build.images(cfg)
        model, trainer = build.model(cfg, images), build.trainer(cfg, [])
    device = trainer.strategy.root_device
    console.print(f"{images.table}; {model.pretrained.spec}; {device}, {trainer.precision}; {machine()}")
    whole = runs.in_turns(images, model, overrides, scratch, rounds, str(cfg.trainer.accelerator), console.print)
    how = scratch / "pass", PASS_ROUNDS, str(cfg.features.engine)
    passes = first_pass.measure_first_pass(images, model.pretrained, trainer, *how)
    console.print(f"first pass: {passes[-1]}")
    epochs = [head_epochs(overrides, scratch / f"head-{number}") for number in range(PASS_ROUNDS)]
    console.print(f"head epochs: {epochs[-1]}")
    return {"machine": machine(), **runs.ratios(whole, passes, epochs)}


def head_epochs(overrides: list[str], scratch: Path) -> dict[str, float]:
    """Seconds of a head epoch in a fit with all its loggers and callbacks, and of the same in a bare loop."""
    from comparison.head_epoch import bare_epoch, lightning_epoch

    from project import build

    scratch.mkdir()
    shared = [f"features.dir={scratch.parent / 'features'}", f"data.checked_dir={scratch.parent / 'checked'}"]
    with in_scratch([*overrides, *shared], scratch) as cfg:
        images = build.images(cfg)
        model, spare = build.model(cfg, images), build.model(cfg, images)
        trainer, data = build.trainer(cfg, build.loggers(cfg)), build.features(cfg, images, model)
    with redirect_stdout(StringIO()):
        ours, count = lightning_epoch(trainer, model, data)
    return {"ours": ours, "bare": bare_epoch(spare, data, count), "epochs": count}


def in_scratch(overrides: list[str], scratch: Path) -> AbstractContextManager[DictConfig]:
    """The config of a run that leaves everything in `scratch`."""
    overrides = [f"data.checked_dir={scratch}/checked", *overrides, f"run_dir={scratch}", "sweep_dir=null"]
    return composed(overrides, TRUSTED)


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
