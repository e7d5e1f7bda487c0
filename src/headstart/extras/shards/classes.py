"""The class names of shards, which a model needs before the first image has come."""

import json
from pathlib import Path

from ...errors import UserError
from ...files import manifest, write_atomically
from .tar import is_local, read_shard

FILE = "classes.txt"


def class_names(
    given: str | Path | list[str] | None, shards: tuple[str, ...], checked_dir: str | Path
) -> tuple[str, ...]:
    """The names in label order: those given, or a text file's lines, or those of `classes.txt` beside the shards.

    Without any, local shards are looked through once for their labels; `checked_dir` remembers what was found.

    Raises:
        UserError: there is no such file, no name for shards that aren't local, a name twice, or only one.
    """
    if given is None and is_local(shards[0]) and (beside := Path(shards[0]).with_name(FILE)).is_file():
        given = beside
    names = _lines(Path(given)) if isinstance(given, str | Path) else [str(name) for name in given or ()]
    names = names or _found(shards, Path(checked_dir))
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice or len(names) < 2:
        problem = f"the class {twice[0]!r} twice" if twice else f"{len(names)} class(es), but a classifier needs two"
        raise UserError(f"{given or shards[0]} has {problem} (data.classes)")
    return tuple(names)


def label_numbers(classes: tuple[str, ...]) -> dict[str, int]:
    """Every text that a label may be, with its class: a name; or the class's number, unless names are numbers."""
    names = {name: number for number, name in enumerate(classes)}
    return names if all(map(str.isdecimal, classes)) else {str(number): number for number in names.values()} | names


def number_of(label: str, numbers: dict[str, int], name: str) -> int:
    """A sample's class; raises UserError where its label is none."""
    if label not in numbers:
        raise UserError(f"the label {label!r} of {name} is none of the {len(set(numbers.values()))} classes")
    return numbers[label]


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.expanduser().read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: give a text file with a class name a line (data.classes)") from error


def _found(shards: tuple[str, ...], checked_dir: Path) -> list[str]:
    """The labels of local shards, numbers in their order; an unfinished look is not remembered."""
    if not all(map(is_local, shards)):
        raise UserError(
            f"which classes does {shards[0]} have? Give data.classes=[...], or a text file with their names"
        )
    record = checked_dir / f"{manifest(shards)}-labels.json"
    if not record.exists():
        labels = {sample.label for shard in shards for sample in read_shard(shard, with_images=False)}
        numbers = all(label.isdecimal() for label in labels)
        write_atomically(record, json.dumps(sorted(labels, key=int) if numbers else sorted(labels)))
    return json.loads(record.read_text())
