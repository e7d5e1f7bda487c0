"""The scores of a sweep's jobs: by each parameter, and by all of them at once."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..sweep_folder import REPEATS, Job, SweepFolder
from .style import BLUE, GREY, SHADES, PlainFigure, names_as_they_are, shown

COLUMNS, MOST = 3, 12  # plots beside each other; parameters and values of one
WIDE = 50  # the largest positive value by the smallest from which on an axis is logarithmic


@names_as_they_are()
def draw_scores_by_parameter(sweep: SweepFolder) -> Figure | None:
    """A point a job, for every parameter that was varied."""
    keys = [key for key in sweep.keys if key not in REPEATS][:MOST] or sweep.keys[:MOST]
    if not keys or not sweep.finished:
        return None
    lines = -(-len(keys) // COLUMNS)
    figure = PlainFigure(3 * min(COLUMNS, len(keys)) + 1, 2.8 * lines)
    scores = [job.score or 0.0 for job in sweep.finished]  # all have one
    for place, key in enumerate(keys, start=1):
        axes = figure.add_subplot(lines, COLUMNS if len(keys) > COLUMNS else len(keys), place)
        axes.scatter(_positions(axes, key, sweep.finished), scores, s=18, color=BLUE, alpha=0.6, linewidths=0)
        axes.set(xlabel=shown(key), ylabel=sweep.monitor if place % COLUMNS == 1 or len(keys) == 1 else "")
        axes.grid(visible=True, axis="y")
    return figure


@names_as_they_are()
def draw_history(sweep: SweepFolder) -> Figure | None:
    """A point a job, in the order in which they began, and the best of all so far: what more jobs would be worth."""
    jobs = sorted(sweep.finished, key=lambda job: job.number)
    if len(jobs) < 2:
        return None
    numbers, scores = [job.number for job in jobs], [job.score or 0.0 for job in jobs]  # all have one
    figure = PlainFigure(6, 2.8)
    axes = figure.add_subplot()
    axes.scatter(numbers, scores, s=18, color=BLUE, alpha=0.6, linewidths=0)
    axes.step(numbers, sweep.best_so_far(scores), where="post", color=GREY, linewidth=1.2)
    axes.set(xlabel="job", ylabel=sweep.monitor)
    axes.grid(visible=True, axis="y")
    return figure


@names_as_they_are()
def draw_importance(sweep: SweepFolder) -> Figure | None:
    """A bar a parameter, the most important on top."""
    found = list(sweep.importance.items())[:MOST]
    if not found:
        return None
    figure = PlainFigure(6, 0.9 + 0.28 * len(found))
    axes = figure.add_subplot()
    axes.barh([shown(key) for key, _ in found], [value for _, value in found], color=BLUE)
    axes.invert_yaxis()
    axes.set(xlabel="share of the differences that it explains", xlim=(0, 1))
    return figure


@names_as_they_are()
def draw_parallel_coordinates(sweep: SweepFolder) -> Figure | None:
    """A line a job through its values of all parameters, to its score."""
    keys = [key for key in sweep.keys if key not in REPEATS][:MOST]
    if len(keys) < 2 or not sweep.finished:
        return None
    scores = np.array([job.score for job in sweep.finished], dtype=np.float64)
    columns = [_scaled(key, sweep.finished) for key in keys]
    heights = np.stack([*(column for column, _ in columns), _unit(scores)], axis=1)
    figure = PlainFigure(max(6, 1.6 * len(keys) + 2), 3.6)
    axes = figure.add_subplot()
    darkness = np.linspace(1, 0.15, len(scores))  # the best comes first
    for row, shade in reversed(list(zip(heights, darkness, strict=True))):
        axes.plot(row, color=SHADES(shade), linewidth=1.2)
    for place, (_, ticks) in enumerate([*columns, (None, _ends(scores))]):
        axes.axvline(place, color=GREY, linewidth=0.8)
        for height, text in ticks:
            axes.annotate(shown(text, 14), (place, height), xytext=(4, 0), textcoords="offset points", fontsize=8)
    axes.set_xticks(range(len(keys) + 1), [shown(key, 20) for key in (*keys, sweep.monitor)])
    axes.set(yticks=[], xlim=(-0.1, len(keys) + 0.5))
    axes.spines["left"].set_visible(False)
    return figure


def numbers(values: Sequence[str]) -> NDArray[np.float64] | None:
    """The values as numbers, if all are."""
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return None


def _positions(axes: Axes, key: str, jobs: Sequence[Job]) -> NDArray[np.float64]:
    values = [job.value(key) for job in jobs]
    found = numbers(values)
    if found is not None and np.isfinite(found).all():
        if found.min() > 0 and found.max() / found.min() >= WIDE:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        return found
    names = sorted(set(values))
    axes.set_xticks(range(len(names)), [shown(name or "not said", 12) for name in names], rotation=30, ha="right")
    return np.array([names.index(value) for value in values], dtype=np.float64)


def _scaled(key: str, jobs: Sequence[Job]) -> tuple[NDArray[np.float64], list[tuple[float, str]]]:
    """A parameter's values from 0 to 1, and what to write where."""
    values = [job.value(key) for job in jobs]
    found = numbers(values)
    if found is None or not np.isfinite(found).all():
        names = sorted(set(values))
        places = _unit(np.arange(len(names), dtype=np.float64))
        return places[[names.index(value) for value in values]], list(zip(places.tolist(), names, strict=True))
    wide = found.min() > 0 and found.max() / found.min() >= WIDE
    return _unit(np.log(found) if wide else found), _ends(found)


def _ends(values: NDArray[np.float64]) -> list[tuple[float, str]]:
    return (
        [(0.0, f"{values.min():.4g}"), (1.0, f"{values.max():.4g}")] if np.ptp(values) else [(0.5, f"{values[0]:.4g}")]
    )


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.min()) / np.ptp(values) if np.ptp(values) else np.full_like(values, 0.5)
