"""Test a run's best checkpoint: `python scripts/evaluate.py RUN [data=folder data.root=PATH ...]`."""

import logging
import sys
from pathlib import Path

from rich.console import Console

from headstart.errors import UserError, readable_errors
from headstart.resume.command_line import check
from headstart.resume.going_on import going_on
from headstart.resume.quoting import as_typed, quoted
from headstart.resume.trusted import note_typed
from project import TRUSTED


def main(arguments: list[str]) -> None:
    """Lay what was typed over the run's own config, and test the checkpoint on that."""
    if {"-h", "--help"} & set(arguments):
        Console().print(__doc__, markup=False, highlight=False, soft_wrap=True)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if not arguments or "=" in arguments[0] or arguments[0].startswith("-"):
        raise UserError("which run? python scripts/evaluate.py RUN [data=folder data.root=PATH ...]")
    run_dir, typed = Path(arguments[0]), as_typed(arguments[1:])
    note_typed(typed)
    fixed = [f"run_dir={quoted(str(run_dir))}", "sweep_dir=null"]  # what Hydra would say
    with going_on(run_dir, [*typed, *fixed], TRUSTED) as cfg:
        check(cfg)
        from project.evaluation import evaluate  # torch, once the config is known to be right

        evaluate(cfg, run_dir / "checkpoints" / "best.ckpt", any(one.startswith("data") for one in typed))


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
