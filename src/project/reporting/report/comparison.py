"""Several runs side by side: what they came to, what they were told, and their curves laid over each other."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from headstart.errors import printable

from ..config_diff import changes
from ..numbers import class_scores
from ..plots.curves import draw_over_each_other
from ..run_folder import RunFolder
from .blocks import Folded, Page, Section, Table, drawing
from .page import made, write_page

Runs = Sequence[RunFolder]
CURVES = ("val/loss", "val/accuracy", "train/loss", "train/accuracy")
SHORT = 15  # rows of a table that is shown at once


def write_comparison(paths: Sequence[Path], output: Path) -> Path:
    """Write a page that compares runs; returns its path."""
    runs = [RunFolder(path) for path in paths]
    return write_page(Page(f"{len(runs)} runs", made(COMPARED, runs)), output)


def metrics(runs: Runs) -> Section:
    """Every metric of every run, and how long it took."""
    names = dict.fromkeys(name for run in runs for name in run.results.get("metrics", {}))
    rows = [[name, *(run.results.get("metrics", {}).get(name) for run in runs)] for name in names]
    rows.append(["seconds", *(float(sum(run.results.get("seconds", {}).values())) for run in runs)])
    rows.append(["status", *(run.results.get("status", "unknown") for run in runs)])
    return Section("Metrics", [Table(["", *_names(runs)], rows)])


def configs(runs: Runs) -> Section:
    """The keys that aren't the same in all runs."""
    told = [run for run in runs if run.config]
    if len(told) < len(runs):
        return Section("Config", [])
    found = [{change.key: change for change in changes(run.config, runs[0].config)} for run in runs]
    keys = sorted(set().union(*found))
    first = {change.key: change.other for one in found for change in one.values()}
    rows = [[key, *(_value(one[key].value if key in one else first[key]) for one in found)] for key in keys]
    table = Table(["key", *_names(runs)], rows)
    return Section(
        "Config", [table] if 0 < len(rows) <= SHORT else [Folded(f"{len(rows)} values differ", [table])] if rows else []
    )


def curves(runs: Runs) -> Section:
    """Loss and accuracy by epoch."""
    histories = dict(zip(_names(runs), (run.history for run in runs), strict=True))
    return Section("Learning curves", drawing(draw_over_each_other(histories, CURVES)))


def classes(runs: Runs) -> Section:
    """F1 of every class, where all runs have the same; those that differ the most first."""
    names = runs[0].classes
    if not names or any(run.classes != names or not len(run.confusions) for run in runs):
        return Section("F1 by class", [])
    scores = np.array([class_scores(run.confusions, len(names)).f1 for run in runs])
    order = np.argsort(-np.ptp(scores, axis=0), kind="stable").tolist()
    table = Table(["class", *_names(runs)], [[printable(names[one]), *scores[:, one].tolist()] for one in order])
    return Section("F1 by class", [table] if len(order) <= SHORT else [Folded(f"all {len(order):,} classes", [table])])


# Yours to edit: what a comparison says, from top to bottom.
COMPARED: list[Callable[[Runs], Section]] = [metrics, configs, curves, classes]


def _names(runs: Runs) -> list[str]:
    """The runs' names; with their places where they would be the same."""
    names = [run.name for run in runs]
    return (
        names if len(set(names)) == len(names) else [f"{name} ({place})" for place, name in enumerate(names, start=1)]
    )


def _value(value: object) -> str:
    return "nothing" if value is None else printable(value)
