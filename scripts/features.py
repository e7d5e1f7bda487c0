"""See and free what the caches hold: `python scripts/features.py list`, `python scripts/features.py prune`."""

import argparse
import sys
from pathlib import Path

from rich.table import Table

from headstart.errors import readable_errors
from headstart.features.inventory import StoredFeatures, prune, prune_copies, stored_copies, stored_features
from headstart.machine import terminal

MEGABYTE = 1e6

# One line for each file also where nobody looks.
console = terminal(width=None if sys.stdout.isatty() else 160)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="What the caches hold, and how to make room in them.")
    parser.add_argument("--dir", default="data/features", help="the features' folder (features.dir)")
    parser.add_argument("--shrunk", default="data/shrunk", help="that of large images' small copies")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="one row for each file")
    pruning = verbs.add_parser("prune", help="delete what wasn't used lately, and what killed runs left behind")
    pruning.add_argument("--days", type=float, default=30, help="unused for so long; 0 for all (default: 30)")
    arguments = parser.parse_args()
    folder, shrunk = (Path(given).expanduser() for given in (arguments.dir, arguments.shrunk))  # of --dir=~/x
    if arguments.verb == "list":
        show(stored_features(folder), f"in {folder}")
        console.print(total(stored_copies(shrunk), "small copies of images", f"in {shrunk}"))
    else:
        show(list(prune(folder, arguments.days)), f"freed in {folder}")
        console.print(total(list(prune_copies(shrunk, arguments.days)), "small copies of images", f"freed in {shrunk}"))


def show(files: list[StoredFeatures], where: str) -> None:
    """Print a table and the sum of all sizes."""
    table = Table("features", "backbone", "view", "images", "of", "precision", "MB", "days unused")
    for one in files:
        metadata = one.metadata
        name = " ".join(
            str(metadata.get("backbone", {}).get(key, "")) for key in ("_target_", "name", "variant", "weights")
        )
        cells = [str(metadata.get(key, "unfinished")) for key in ("view", "images", "folder", "precision")]
        numbers = (f"{one.size / MEGABYTE:.1f}", f"{one.days_unused:.1f}")
        table.add_row(one.path.stem[:8], " ".join(name.rpartition(".")[2].split()), *cells, *numbers)
    if files:
        console.print(table)
    console.print(total(files, "files", where))


def total(files: list[StoredFeatures], what: str, where: str) -> str:
    """How many there are, and how large they are together."""
    return f"{len(files):,} {what}, {sum(one.size for one in files) / MEGABYTE:,.1f} MB {where}"


if __name__ == "__main__":
    with readable_errors():
        main()
