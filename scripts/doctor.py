"""Find what is wrong with data: `python scripts/doctor.py data=folder data.root=PATH ...` takes what train.py takes.

`python scripts/doctor.py RUN [data.root=PATH ...]` examines a run's data, and leaves its files in the run's folder.
Edit the column `action` of doctor.csv (relabel, drop, keep), and train with `data.fixes=doctor.csv`.
"""

import logging
import sys
import time
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from headstart.errors import UserError, readable_errors
from headstart.machine import terminal
from headstart.resume.command_line import check, composed
from headstart.resume.going_on import going_on
from headstart.resume.quoting import as_typed, quoted
from headstart.resume.stored_config import key_of
from headstart.resume.trusted import note_typed
from headstart.resume.typed import refuse_untested
from project import TRUSTED

# Broken images are a finding; and one process examines all.
SETTLED = {
    "data.on_error": "skip", "trainer.devices": 1, "trainer.num_nodes": 1, "trainer.strategy": "auto",
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Compose the config, examine its data, and say what was found, and where it is."""
    console = terminal(soft_wrap=True)
    if {"-h", "--help"} & set(arguments):
        console.print(__doc__)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    run_dir = Path(arguments[0]).expanduser() if arguments and is_run(arguments[0]) else None
    folder = run_dir or Path("logs/doctor") / time.strftime("%Y-%m-%d_%H-%M-%S")
    own = [f"run_dir={quoted(str(folder))}", "sweep_dir=null"]
    typed = as_typed(arguments[1:] if run_dir else arguments)
    note_typed(typed)
    if run_dir:
        refuse_untested(map(key_of, typed))
    with going_on(run_dir, [*typed, *own], TRUSTED) if run_dir else composed([*typed, *own], TRUSTED) as cfg:
        check(cfg)
        for key, value in SETTLED.items():
            OmegaConf.update(cfg, key, value, force_add=True)
        for path in doctor(cfg, folder):
            console.print(str(path))


def is_run(argument: str) -> bool:
    """Whether an argument is a folder, rather than an override; raises UserError for what is neither."""
    if "=" in argument and not Path(argument).expanduser().exists():
        return False
    if not argument.startswith("-") and not (Path(argument).expanduser() / ".hydra").is_dir():
        raise UserError(f"{argument} is no folder of a run: python scripts/doctor.py RUN, or data=... as for train.py")
    return not argument.startswith("-")


def doctor(cfg: DictConfig, folder: Path) -> list[Path]:
    """Examine the data of a config; returns the files that tell of it."""
    from headstart.extras.doctor.examine import examine
    from headstart.extras.doctor.examined import examined
    from headstart.extras.doctor.files import CSV, write
    from headstart.extras.doctor.findings import refuse_to_overwrite
    from headstart.extras.doctor.told import sentences, table_of
    from headstart.images.table import SPLITS
    from headstart.machine import prepare_process
    from project import build
    from project.model.logistic_regression import solve

    refuse_to_overwrite(folder / CSV)
    prepare_process()
    images, backbone = build.images(cfg), build.backbone(cfg)
    if images.table is None or not images.table.has("train") or not images.table.train:
        raise UserError("the doctor needs a table of all images, which shards don't have: unpack them into folders")
    images.preprocessing = backbone.preprocessing
    data = images.feature_cache(
        images, backbone, cfg.features.dir, full_batch=True, verify=cfg.features.verify, engine=cfg.features.engine
    )
    data.trainer = build.trainer_with(cfg, [], logger=False)
    data.setup()
    if data.live:
        raise UserError(
            f"features.dir={cfg.features.dir} can't be written, and the doctor needs features: choose another"
        )
    features = {split: data.split(split)[0][0].cpu() for split in SPLITS if images.table.part(split)}
    found = examine(examined(images.table, features, backbone.preprocessing.crop), solve)
    terminal().print(table_of(found))
    for sentence in sentences(found.summary):
        terminal(soft_wrap=True).print(sentence)
    return write(found, folder, f"The data of {folder}")


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
