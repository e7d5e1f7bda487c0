"""The sections of a run's report, from what lies in its folder: a function each, which returns None for nothing."""

from collections.abc import Callable

from headstart.errors import printable
from headstart.resume.environment import hide

from ..config_diff import from_defaults
from ..figures import FIGURES
from ..numbers import class_scores
from ..plots.classes import class_f1, top_confusions
from ..plots.confusion import confusion_matrix
from ..plots.curves import history
from ..plots.images import best_images, confident_mistakes, least_certain
from ..plots.probability import precision_recall_curves, reliability, roc_curves
from ..run_folder import RunFolder
from .blocks import Block, Code, Folded, Section, Table, Text, drawing
from .images import doctor, images, mistakes

PLACED = [
    history, confusion_matrix, class_f1, top_confusions, reliability, roc_curves, precision_recall_curves,
    confident_mistakes, least_certain, best_images,
]  # fmt: skip
SHORT = 12  # rows of a table that is shown at once


def end(run: RunFolder) -> Section | None:
    """Why a run has not finished."""
    said = run.results
    if said.get("status") == "failed":
        return Section("What went wrong", [Text(printable(said.get("error", "")), bad=True)])
    if said.get("status") == "interrupted":
        text = f"{said['signal']} came after {said['epoch']:,} whole epochs, {said['step']:,} steps in all."
        return Section("Interrupted", [Text(text), Code(f"python train.py resume={run.path}")])
    return None


def metrics(run: RunFolder) -> Section | None:
    """The final table: what the best checkpoint comes to."""
    found = run.results.get("metrics", {})
    splits = [split for split in ("train", "val", "test") if any(name.startswith(f"{split}/") for name in found)]
    names = dict.fromkeys(name.partition("/")[2] for name in found)
    rows = [[name.replace("_", " "), *(found.get(f"{split}/{name}") for split in splits)] for name in names]
    best = run.results.get("best_checkpoint")
    return Section(
        "Metrics", [Table(["of the best checkpoint" if best else "of the last weights", *splits], rows)] if rows else []
    )


def curves(run: RunFolder) -> Section | None:
    """Loss and accuracy by epoch, and all that was measured."""
    columns = list(dict.fromkeys(name for row in run.history for name in row))
    rows = [[row.get(name) for name in columns] for row in run.history[-200:]]
    return Section(
        "Learning curves",
        [*drawing(run.figure(history)), Folded("the numbers", [Table(columns, rows)])] if rows else [],
    )


def confusions(run: RunFolder) -> Section | None:
    """Which classes are taken for which."""
    return Section("Confusions", [*drawing(run.figure(confusion_matrix)), *drawing(run.figure(top_confusions))])


def classes(run: RunFolder) -> Section | None:
    """Precision, recall, F1 and images of each class."""
    if not len(run.confusions):
        return None
    scores = class_scores(run.confusions, len(run.classes))
    numbers = (scores.precision.tolist(), scores.recall.tolist(), scores.f1.tolist(), scores.support.tolist())
    rows = [[printable(name), *values] for name, *values in zip(run.classes, *numbers, strict=True)]
    table = Table(["class", "precision", "recall", "F1", f"{run.split or 'test'} images"], rows)
    return Section(
        "Classes",
        [
            *drawing(run.figure(class_f1)),
            table if len(rows) <= SHORT else Folded(f"all {len(rows):,} classes", [table]),
        ],
    )


def probabilities(run: RunFolder) -> Section | None:
    """Whether probabilities hold, and how well they tell classes apart."""
    figures = (reliability, roc_curves, precision_recall_curves)
    return Section("Probabilities", [block for draw in figures for block in drawing(run.figure(draw))])


def more(run: RunFolder) -> Section | None:
    """The figures of an owner's own."""
    figures = {draw.__name__: run.figure(draw) for draw in FIGURES if draw not in PLACED}
    return Section("More", [block for name, one in figures.items() for block in drawing(one, name.replace("_", " "))])


def config(run: RunFolder) -> Section | None:
    """What was told to do otherwise, and how to do it again."""
    blocks: list[Block] = []
    if command := run.results.get("command"):
        blocks += [Text("To do it again:"), Code(printable(hide(command)))]
    try:
        found = from_defaults(run.config)
    except Exception as error:  # an owner's conf/ may have become another, in any way
        found, reason = [], printable(error).splitlines()[0]
        blocks.append(Text(f"What differs from the defaults isn't known: conf/ can't be composed ({reason})."))
    if found:
        rows = [[change.key, _value(change.value), _value(change.other)] for change in found]
        table = Table(["key", "this run", "default"], rows)
        blocks.append(table if len(rows) <= SHORT else Folded(f"{len(rows)} values differ from the defaults", [table]))
    return Section("Config", blocks)


def machine(run: RunFolder) -> Section | None:
    """Seconds, hardware and versions."""
    said = run.results
    seconds = [[phase, float(value)] for phase, value in said.get("seconds", {}).items()]
    hardware = [[name.replace("_", " "), value] for name, value in said.get("hardware", {}).items()]
    versions = [
        *said.get("versions", {}).items(),
        *([("git commit", said["git_commit"])] if said.get("git_commit") else []),
    ]
    found = (("phase", "seconds", seconds), ("hardware", "", hardware), ("version", "", versions))
    return Section("Time and machine", [Table([left, right], rows) for left, right, rows in found if rows])


# Yours to edit: what a report says, from top to bottom.
SECTIONS: list[Callable[[RunFolder], Section | None]] = [
    end, metrics, curves, confusions, classes, mistakes, probabilities, more, images, doctor, config, machine,
]  # fmt: skip


def status(run: RunFolder) -> str:
    """How it stands with the run, in a word."""
    return run.results.get("status") or ("unfinished" if run.history or run.config else "unknown")


def subtitle(run: RunFolder) -> str:
    """What was trained on what, in a line."""
    backbone, images = run.config.get("backbone") or {}, run.results.get("images", {}).get("train")
    chosen = [run.choices.get(group, "") for group in ("backbone", "strategy", "head", "data")]
    chosen[0] = str(backbone.get("name") or chosen[0])
    counts = [f"{len(run.classes):,} classes"] if run.classes else []
    counts += [f"{sum(images):,} training images"] if images else []
    return printable(" · ".join(part for part in (*chosen, *counts) if part))


def highlights(run: RunFolder) -> list[tuple[str, str]]:
    """The few numbers that are looked for first."""
    found, seconds = run.results.get("metrics", {}), sum(run.results.get("seconds", {}).values())
    first = [name for name in ("test/accuracy", "test/f1", "val/accuracy") if name in found]
    numbers = [(name.replace("/", " "), f"{found[name]:.4f}") for name in first]
    numbers += [("epochs", f"{len(run.history):,}")] if run.history else []
    return numbers + ([("seconds", f"{seconds:,.1f}")] if seconds else [])


def _value(value: object) -> str:
    return "nothing" if value is None else printable(value)
