"""README.md: what a published model is, what it was trained on, how good it is, and how to load it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..about import UNKNOWN
from ..plain import Plain
from .config import loads_in_timm
from .header import header
from .loading import how_to_load
from .markdown import escaped, table

PLOTS = "plots"
FEW = 30  # test images, of which a class has less: its scores may be off by a tenth and more
MOST = 200  # classes in the tables
Scores = tuple[float, float, float, int]


@dataclass(frozen=True)
class Card:
    """What only a run's folder knows; empty where it doesn't.

    `counts` are images by split and class, `scores` precision, recall, F1 and images of each class, of the `split`;
    `ece` are expected calibration errors of the split, without and with `temperature`.
    """

    title: str
    repo: str | None = None
    license: str = UNKNOWN
    data_license: str = UNKNOWN
    code_license: str = UNKNOWN
    strategy: str = ""
    precision: str = ""
    counts: dict[str, list[int]] = field(default_factory=dict)
    split: str = ""
    scores: list[Scores] = field(default_factory=list)
    temperature: float = 1.0
    ece: tuple[float, float] | None = None


def write_card(path: Path, card: Card, known: dict[str, Any], plain: Plain, figures: Sequence[str]) -> None:
    """Write the model card, of what `about` knows and of images in `plots/`."""
    sections = {
        "What it is": _what(card, known, plain),
        "Data": _data(card, known["classes"]),
        "Classes": _classes(known["classes"]),
        "Scores": _scores(card, known, [name for name in figures if name != "reliability"]),
        "Calibration": _calibration(card, "reliability" in figures),
        "Limits": _limits(card, known["classes"]),
        "Licences": _licences(card, known),
        "How to load it": how_to_load(card.repo, plain, len(known["classes"])),
    }
    text = "\n\n".join(f"## {title}\n\n{body}" for title, body in sections.items() if body)
    head = header(card, known, "timm" if loads_in_timm(plain) else "pytorch")
    path.write_text(f"{head}\n# {escaped(card.title)}\n\n{text}\n", encoding="utf-8")


def _what(card: Card, known: dict[str, Any], plain: Plain) -> str:
    said, network = known["preprocessing"], plain.network
    parameters = sum(parameter.numel() for parameter in network.parameters())
    trained = {
        "": "not known",
        "frozen": "the head alone, on the features of a frozen backbone",
    }.get(card.strategy, f"head and backbone, by the strategy {escaped(card.strategy)}")
    facts = {
        "Task": f"to say which of {len(known['classes'])} classes an image shows",
        "Backbone": f"{escaped(_name(known, plain))}; {parameters / 1e6:.1f} million parameters with the head",
        "Pretrained weights": escaped(known["backbone"].get("weights", "none (random)")),
        "Trained": trained,
        "Images": f"resized to {_size(said['resize'])} ({escaped(said['interpolation'])}), of which it sees the middle "
        f"{said['crop']} x {said['crop']} pixels",
    }
    return "\n".join(f"- {title}: {fact}" for title, fact in facts.items())


def _name(known: dict[str, Any], plain: Plain) -> str:
    """The architecture's in its library; else what made it."""
    if plain.library == "timm":
        return str(getattr(plain.network, "pretrained_cfg")["architecture"])  # noqa: B009 (a Module has any attribute)
    return str(known["backbone"].get("name", known["backbone"]["_target_"].rpartition(".")[2]))


def _size(resize: Any) -> str:
    return f"a shorter side of {resize}" if isinstance(resize, int) else " x ".join(map(str, resize))


def _data(card: Card, classes: Sequence[str]) -> str:
    if not card.counts:
        return "Nothing is known of the images that it was trained on."
    splits = list(card.counts)
    rows = [
        [escaped(name), *numbers]
        for name, *numbers in zip(classes[:MOST], *(counts[:MOST] for counts in card.counts.values()), strict=True)
    ]
    rows += [["*all*", *(f"{sum(card.counts[split]):,}" for split in splits)]]
    return f"Images by class and split:\n\n{table(['class', *splits], rows)}{_more(classes)}"


def _classes(classes: Sequence[str]) -> str:
    names = ", ".join(map(escaped, classes[:MOST]))
    return f"In the order of its logits: {names}. `label_names` in config.json has them, too.{_more(classes)}"


def _scores(card: Card, known: dict[str, Any], figures: Sequence[str]) -> str:
    metrics = [[escaped(name), f"{value:.4f}"] for name, value in known["metrics"].items()]
    parts = [table(["metric", "value"], metrics)] if metrics else ["Nothing is known of its scores."]
    if card.scores:
        rows = [
            [escaped(name), *(f"{value:.3f}" for value in values), images]
            for name, (*values, images) in zip(known["classes"][:MOST], card.scores[:MOST], strict=True)
        ]
        heads = ["class", "precision", "recall", "F1", f"{card.split} images"]
        parts += [f"By class, on the {card.split} images:", table(heads, rows) + _more(known["classes"])]
    return "\n\n".join([*parts, *map(_image, figures)])


def _calibration(card: Card, has_plot: bool) -> str:
    if card.ece is None:
        return ""
    before, after = card.ece
    parts = [
        f"Of probabilities that hold, eight in ten predictions of probability 0.8 are right. The expected calibration "
        f"error (ECE, 15 bins) on the {card.split} images is {before:.4f}; where logits are divided by the temperature "
        f"{card.temperature:.3f}, which was fitted on validation images, it is {after:.4f}. "
        f"`load(calibrated=True)` does that; the class that is predicted stays the same."
    ]
    return "\n\n".join([*parts, *([_image("reliability")] if has_plot else [])])


def _limits(card: Card, classes: Sequence[str]) -> str:
    lines = [
        "It knows these classes alone: an image of anything else is given one of them, maybe with a high probability.",
        "It was measured on images that come from where its training images come from; others may fare worse.",
    ]
    rare = [name for name, (*_, images) in zip(classes, card.scores, strict=False) if images < FEW]
    if rare:
        names = ", ".join(map(escaped, rare[:10])) + (f" and {len(rare) - 10} more" if len(rare) > 10 else "")
        lines.append(f"Of these classes, fewer than {FEW} images were measured, and their scores say little: {names}.")
    if card.precision.startswith("bf16"):
        lines.append("It was measured in bfloat16, and load.py computes in float32: a few images may fare otherwise.")
    if card.split == "val":
        lines.append("There were no test images: all scores are of validation images, by which it was chosen.")
    return "\n".join(f"- {line}" for line in lines)


def _licences(card: Card, known: dict[str, Any]) -> str:
    said = {
        "this model": card.license,
        "the backbone's pretrained weights": known["backbone_license"],
        "the images": card.data_license,
        "load.py": card.code_license,
    }
    return "\n".join(f"- {of}: {escaped(value)}" for of, value in said.items())


def _image(name: str) -> str:
    return f"![{name.replace('_', ' ')}]({PLOTS}/{name}.png)"


def _more(classes: Sequence[str]) -> str:
    return f"\n\n... and {len(classes) - MOST:,} more." if len(classes) > MOST else ""
