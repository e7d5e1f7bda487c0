"""Cutting validation and test pictures from the training pictures, seeded and stratified."""

import random


def cut_splits(name: str, paths: list[str], fractions: dict[str, float], seed: int) -> dict[str, list[str]]:
    """Cut the missing splits from one class's pictures; every split gets one picture at least."""
    counts = {split: max(1, round(share * len(paths))) for split, share in fractions.items() if share > 0}
    train = len(paths) - sum(counts.values())
    if train < 1 and sum(fractions.values()) < 1:
        raise ValueError(
            f"class {name!r} has {len(paths)} pictures, and a split into train and {' and '.join(counts)} "
            f"needs {len(counts) + 1}: add pictures or split folders"
        )
    # A generator of its own for each class: pictures added to one class leave the others' split as it was.
    order = random.Random(f"{seed} {name}").sample(paths, len(paths))
    cut, start = {}, 0
    for split, count in counts.items():
        cut[split] = sorted(order[start : start + count])
        start += count
    return cut | {"train": sorted(order[start:])}
