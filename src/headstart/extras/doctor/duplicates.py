"""Images that are there more than once, byte for byte or nearly: in several splits above all, or under two labels."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from torch import Tensor

from ...images.table import SPLITS
from .examined import Examined
from .findings import Finding

# Cosine of centred features from which images count as the same. Of 3,781 photographs of clothing, copies that were
# compressed again or resized have 0.96 and more, and different ones at most 0.94.
SAME = 0.95
NAMED = 3  # others that a note names


def duplicate_groups(images: Examined, cosines: Tensor, neighbours: Tensor) -> list[list[int]]:
    """The rows of images that are the same, by content or by their nearest neighbours [images, k]; each list sorted."""
    rows = {path: row for row, path in enumerate(images.paths)}
    equal = ([rows[path] for path in group if path in rows] for group in images.checked.duplicates)
    near = (cosines >= SAME).nonzero().tolist()
    pairs = [(row, int(neighbours[row, rank])) for row, rank in near]
    pairs += [(group[0], other) for group in equal for other in group[1:]]
    return _connected(len(images.paths), pairs)


def repeated_images(images: Examined, groups: list[list[int]], cosines: Tensor) -> list[Finding]:
    """A finding for each image of each group: a leak where it is in several splits, else a duplicate.

    Groups in several splits come first, then those under several labels. An image under one label is suggested the
    one that most of the others have.
    """
    content = {path: number for number, group in enumerate(images.checked.duplicates) for path in group}
    labels = images.labels.tolist()
    groups = sorted(groups, key=lambda group: (-_count(images.splits, group), -_count(labels, group)))
    found = []
    for group in groups:
        kind = "leak" if _count(images.splits, group) > 1 else "duplicate"
        for row in group:
            others = [other for other in group if other != row]
            differing = Counter(images.label(other) for other in others if labels[other] != labels[row])
            suggested = differing.most_common(1)[0][0] if differing else ""
            number = content.get(images.paths[row])
            same = number is not None and any(content.get(images.paths[other]) == number for other in others)
            score = 1.0 if same else float(cosines[row, 0])
            note = f"{'the same file as' if same else 'nearly'} {_named(images, others)}"
            found.append(
                Finding(images.paths[row], images.splits[row], kind, images.label(row), suggested, score, note)
            )
    return sorted(found, key=lambda finding: finding.kind != "leak")


def leakage(images: Examined, groups: list[list[int]]) -> dict[str, int]:
    """How many images of a split are in an earlier one, too: `test in train`, `test in val` and `val in train`."""
    found: Counter[str] = Counter()
    for group in groups:
        there = {images.splits[row] for row in group}
        earlier = {split: [one for one in SPLITS[: SPLITS.index(split)] if one in there] for split in there}
        found.update(f"{images.splits[row]} in {one}" for row in group for one in earlier[images.splits[row]])
    return dict(found)


def under_two_labels(images: Examined, groups: list[list[int]]) -> int:
    """How many images are there under more than one label."""
    labels = images.labels.tolist()
    return sum(_count(labels, group) > 1 for group in groups)


def _count(values: Sequence[object], group: list[int]) -> int:
    return len({values[row] for row in group})


def _named(images: Examined, rows: list[int]) -> str:
    named = [f"{images.paths[row]} ({images.splits[row]}, {images.label(row)})" for row in rows[:NAMED]]
    return " and ".join(named) + (f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else "")


def _connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The groups of two or more of `count` numbers that pairs connect, by union-find."""
    parent = list(range(count))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    for one, other in pairs:
        parent[max(root(one), root(other))] = min(root(one), root(other))
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(count):
        groups[root(number)].append(number)
    return [group for group in groups.values() if len(group) > 1]
