"""Draw the plots of a run, or of every job of a sweep: `python scripts/report.py RUN|SWEEP`."""

import sys
from pathlib import Path

from headstart.errors import UserError, readable_errors
from headstart.machine import terminal


def main(arguments: list[str]) -> None:
    """Draw them beside the numbers that they show, and say where they are."""
    console = terminal(soft_wrap=True)
    if {"-h", "--help"} & set(arguments) or len(arguments) != 1:
        console.print(__doc__)
        sys.exit(0 if arguments else 1)
    folder = Path(arguments[0]).expanduser()
    runs = sorted(path.parent for pattern in ("metrics.csv", "*/metrics.csv") for path in folder.glob(pattern))
    if not runs:
        raise UserError(f"{folder} is no folder of a run or a sweep that trained: there is no metrics.csv in it")
    from project.reporting.files import draw_plots

    for run_dir in runs:
        for path in draw_plots(run_dir):
            console.print(str(path))


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
