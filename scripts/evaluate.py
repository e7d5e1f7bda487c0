"""Test a run's best checkpoint: `python scripts/evaluate.py RUN [data=folder data.root=PATH ...]`."""

import logging
import sys
from pathlib import Path

from rich.console import Console

from headstart.errors import UserError, readable_errors
from headstart.resume.command_line import check, composed, merge_overrides, quote_shards, run_overrides
from headstart.resume.trusted import note_typed
from project import TRUSTED


def main(arguments: list[str]) -> None:
    """Compose the run's own config with what was typed, and test the checkpoint on that."""
    if {"-h", "--help"} & set(arguments):
        Console().print(__doc__, markup=False, highlight=False, soft_wrap=True)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if not arguments or "=" in arguments[0] or arguments[0].startswith("-"):
        raise UserError("which run? python scripts/evaluate.py RUN [data=folder data.root=PATH ...]")
    run_dir, typed = Path(arguments[0]), quote_shards(arguments[1:])
    note_typed(typed)
    fixed = [f"run_dir='{run_dir}'", "sweep_dir=null", "resume=null"]  # what Hydra or the run's own start would say
    with composed(merge_overrides(run_overrides(run_dir), [*typed, *fixed]), TRUSTED) as cfg:
        check(cfg)
        from project.evaluation import evaluate  # torch, once the config is known to be right

        evaluate(cfg, run_dir / "checkpoints" / "best.ckpt")


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
