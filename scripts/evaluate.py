"""Test a run's best checkpoint, or any checkpoint: `python scripts/evaluate.py RUN|CHECKPOINT [data=folder ...]`."""

import logging
import sys
from pathlib import Path

from headstart.errors import UserError, readable_errors
from headstart.machine import quick_imports, terminal
from headstart.resume.command_line import check, composed
from headstart.resume.going_on import going_on
from headstart.resume.quoting import as_typed, quoted
from headstart.resume.stored_config import key_of
from headstart.resume.trusted import note_typed
from headstart.resume.typed import refuse_untested
from project import TRUSTED


def main(arguments: list[str]) -> None:
    """Lay what was typed over the run's own config, and test the checkpoint on that."""
    if {"-h", "--help"} & set(arguments):
        terminal(soft_wrap=True).print(__doc__)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    place = Path(arguments[0] if arguments else "").expanduser()
    if not arguments or ((arguments[0].startswith("-") or "=" in arguments[0]) and not place.exists()):
        raise UserError("which run? python scripts/evaluate.py RUN|CHECKPOINT [data=folder data.root=PATH ...]")
    run_dir, checkpoint = find_checkpoint(place)
    typed = as_typed(arguments[1:])
    note_typed(typed)
    refuse_untested(map(key_of, typed))
    fixed = [f"run_dir={quoted(str(run_dir or place.parent))}", "sweep_dir=null"]  # what Hydra would say
    told = [*typed, *fixed]
    with going_on(run_dir, told, TRUSTED) if run_dir else composed(told, TRUSTED) as cfg:
        check(cfg)
        with quick_imports():
            from project.evaluation import evaluate  # torch, once the config is known to be right

        other_data = run_dir is None or any(one.startswith("data") for one in typed)
        evaluate(cfg, checkpoint, other_data)


def find_checkpoint(place: Path) -> tuple[Path | None, Path]:
    """The run at `place`, or around a checkpoint there, and which one to test; no run for one that lies elsewhere."""
    if not place.is_file():
        return place, place / "checkpoints" / "best.ckpt"
    return next((folder for folder in place.absolute().parents if (folder / ".hydra").is_dir()), None), place


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
