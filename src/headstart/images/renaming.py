"""Other data for a trained model: its images, labelled in the order of the model's classes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import UserError, did_you_mean, listed
from .table import SPLITS, ImageTable, Sample


def in_classes(table: ImageTable, classes: Sequence[str], renamed: str = "") -> ImageTable:
    """The table with labels that number `classes`, by the classes' names; some of them may have no image.

    `renamed` says what names of the data mean, as `old=new,other=new`.

    Raises UserError for a class that isn't among `classes`, and a name in `renamed` that nobody has.
    """
    names = {name: name for name in table.classes} | renames(renamed, table.classes, classes)
    if unknown := [old for old, new in names.items() if new not in classes]:
        hint = did_you_mean(unknown[0], classes)
        raise UserError(
            f"the model doesn't know {listed([repr(name) for name in unknown])}: {hint}it knows {listed(classes)}; "
            f"--classes {unknown[0]}=NAME says what a name means"
        )
    numbers = {label: list(classes).index(names[name]) for label, name in enumerate(table.classes)}
    splits = {split: _numbered(table.part(split), numbers) for split in SPLITS}
    folds = tuple(_numbered(fold, numbers) for fold in table.folds)
    left_out = {split: _numbered(samples, numbers) for split, samples in table.left_out.items()}
    return replace(table, classes=tuple(classes), **splits, folds=folds, left_out=left_out)


def renames(text: str, old: Sequence[str], new: Sequence[str]) -> dict[str, str]:
    """What `old=new,other=new` says, for names that may hold commas and equals signs; raises UserError for others."""
    pairs: dict[str, str] = {}
    while text:
        known = [(one, other) for one in old if text.startswith(f"{one}=") for other in new]
        fitting = [pair for pair in known if f"{text},".startswith(f"{'='.join(pair)},")]
        if not fitting:
            raise UserError(f"--classes {text}: {_what_is_wrong(text, [one for one, _ in known], old, new)}")
        one, other = max(fitting, key=lambda pair: len("=".join(pair)))
        pairs[one], text = other, text[len(one) + len(other) + 2 :]
    return pairs


def _what_is_wrong(text: str, found: Sequence[str], old: Sequence[str], new: Sequence[str]) -> str:
    name, has_sign, meant = text.partition(",")[0].partition("=")
    if not has_sign:
        return "say old=new, with commas between several"
    if not found:
        return f"the data has no class {name!r}; it has {listed(old)}"
    return f"the model has no class {meant!r}: {did_you_mean(meant, new)}it has {listed(new)}"


def _numbered(samples: Sequence[Sample], numbers: Mapping[int, int]) -> tuple[Sample, ...]:
    return tuple(Sample(path, numbers[label]) for path, label in samples)
