"""Test a run's best checkpoint: `python scripts/evaluate.py RUN [data=folder data.root=PATH ...]`."""

import logging
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from rich.console import Console

from headstart.errors import CONF_DIR, readable_errors
from headstart.resume.command_line import merge_overrides, run_overrides
from headstart.resume.typed import note_typed


def main(arguments: list[str]) -> None:
    """Compose the run's own config with what was typed, and test the checkpoint on that."""
    if {"-h", "--help"} & set(arguments):
        Console().print(__doc__, markup=False, highlight=False, soft_wrap=True)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if not arguments or "=" in arguments[0] or arguments[0].startswith("-"):
        raise ValueError("which run? python scripts/evaluate.py RUN [data=folder data.root=PATH ...]")
    run_dir = Path(arguments[0])
    fixed = [f"run_dir='{run_dir}'", "sweep_dir=null", "resume=null"]  # what Hydra or the run's own start would say
    overrides = merge_overrides(run_overrides(run_dir), [*arguments[1:], *fixed])
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides)
    from project.main import evaluate

    evaluate(cfg, run_dir / "checkpoints" / "best.ckpt")


if __name__ == "__main__":
    with readable_errors():
        main(note_typed(sys.argv[1:]))
