"""Write the report of a run or a sweep anew, or compare runs: `python scripts/report.py RUN|SWEEP ...`.

A run's report.html and plots lie in its folder; a sweep's sweep.html and sweep.csv in its own, also while it runs; of
several runs, logs/comparison.html (or --output=FILE) says what is different. Nothing is computed anew: results.json,
metrics.csv and predictions.parquet in the folders are all it takes.
"""

import sys
from pathlib import Path

from headstart.errors import UserError, readable_errors
from headstart.machine import terminal

COMPARISON = Path("logs/comparison.html")
OUTPUT = "--output="


def main(arguments: list[str]) -> None:
    """Write and draw what was asked for, and say where it is."""
    console = terminal(soft_wrap=True)
    folders = [Path(one).expanduser() for one in arguments if not one.startswith("-")]
    outputs = [Path(one.removeprefix(OUTPUT)) for one in arguments if one.startswith(OUTPUT)]
    if not folders or len(folders) + len(outputs) < len(arguments):
        console.print(__doc__, markup=False)
        sys.exit(0 if {"-h", "--help"} & set(arguments) else 1)
    runs = [run for folder in folders for run in runs_in(folder)]
    from project.reporting.files import draw_plots
    from project.reporting.report.comparison import write_comparison
    from project.reporting.report.page import write_report
    from project.reporting.run_folder import RunFolder

    if len(folders) > 1:
        output = (outputs or [COMPARISON])[0]
        console.print(str(write_comparison(runs, output)), markup=False)
        return
    if runs != folders:
        show_sweep(folders[0])
    for run_dir in runs:
        run = RunFolder(run_dir)
        for path in (*draw_plots(run), write_report(run)):
            console.print(str(path), markup=False)


def show_sweep(folder: Path) -> None:
    """Write and print what the jobs of a sweep came to, and say where it is."""
    from project.reporting.report.sweep import write_page_of
    from project.reporting.sweep_files import tables, write_sweep
    from project.reporting.sweep_folder import SweepFolder

    sweep = SweepFolder(folder)
    if sweep.jobs:
        terminal().print(*tables(sweep), sep="\n", soft_wrap=True)
        for path in (write_sweep(sweep), write_page_of(sweep)):
            terminal(soft_wrap=True).print(str(path), markup=False)


def runs_in(folder: Path) -> list[Path]:
    """The run at `folder`, or those of the sweep's jobs there; raises UserError where there is none."""
    signs = ("results.json", "metrics.csv", ".hydra/overrides.yaml")
    found = {folder for sign in signs if (folder / sign).exists()}
    found = found or {path.parents[sign.count("/")] for sign in signs for path in folder.glob(f"*/{sign}")}
    if not found:
        raise UserError(f"{folder} is no folder of a run or a sweep: there is no results.json or metrics.csv in it")
    return sorted(found)


if __name__ == "__main__":
    with readable_errors():
        main(sys.argv[1:])
