"""What the benchmark found, as a table, as JSON and as a chart."""

import json
import statistics
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

MEANINGS = {
    "first_pass_vs_ceiling": "first pass: of what the fastest bare forward pass and the fastest bare decoding allow",
    "cold_vs_plain": "20 epochs, cold: times faster than the plain Lightning loop (computed from its epochs)",
    "cold_vs_tuned": "20 epochs, cold: times faster than the loop tuned without a cache (computed from its epochs)",
    "warm_vs_imports": "20 epochs, warm, start to score: times what importing torch and lightning takes",
    "sweep_vs_one": "20 heads, cold: times one cold run",
    "head_epoch_vs_bare": "head epoch with logging and validation: times the bare PyTorch loop's",
}


def spread(ratios: list[float]) -> dict[str, float]:
    """Median, lowest and highest of paired ratios."""
    return {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def print_table(found: dict[str, Any]) -> None:
    """One row for each ratio."""
    table = Table("", "median", "lowest", "highest")
    for name, meaning in MEANINGS.items():
        table.add_row(meaning, *(f"{found[name][value]:.2f}" for value in ("median", "lowest", "highest")))
    Console().print(table)
    _print_rates(found["first_pass"])


def _print_rates(passes: list[dict[str, Any]]) -> None:
    """Images a second of every engine and decoder, and of our pass."""
    table = Table("images a second", "median", "lowest", "highest")
    parts = [(kind, name) for kind in ("forward", "decode") for name in passes[0][kind]]
    rates = {f"{kind}: {name}": [one[kind][name] for one in passes] for kind, name in parts}
    rates |= {name: [one[name] for one in passes] for name in ("ceiling", "ours")}
    for name, measured in rates.items():
        table.add_row(name, *(f"{value:,.0f}" for value in spread(measured).values()))
    Console().print(table)


def write(found: dict[str, Any], path: Path) -> None:
    """Write everything to `path`, and the chart beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
    _plot(found["seconds"], path.with_suffix(".png"))


def _plot(seconds: dict[str, list[float]], path: Path) -> None:
    bars = {
        "plain Lightning loop\n(computed from 2 epochs)": 20 * statistics.median(seconds["plain_epoch"]),
        "tuned, no cache\n(computed from 2 epochs)": 20 * statistics.median(seconds["tuned_epoch"]),
        "headstart: 20 heads, cold": statistics.median(seconds["sweep"]),
        "headstart: cold": statistics.median(seconds["cold"]),
        "headstart: warm": statistics.median(seconds["warm"]),
    }
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    names = list(reversed(bars))
    drawn = axes.barh(names, [bars[name] for name in names], color=["#3b76af"] * 3 + ["#b0b0b0"] * 2)
    axes.bar_label(drawn, [f" {bars[name]:,.0f} s" for name in names])
    axes.set(xscale="log", xlabel="seconds for 20 epochs, from the start of the process to the score")
    axes.set_xlim(right=2.5 * max(bars.values()))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
