"""What is known of shards before they are read."""

from dataclasses import dataclass, field

from ...images.splits import Splitting
from ...images.table import SPLITS, ImageTable
from .tar import ShardSplit


@dataclass(frozen=True)
class ShardSet(ImageTable):
    """The class names, and which samples of which shards a split is."""

    splits: dict[str, ShardSplit] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for the terminal."""
        shares = ", ".join(f"{name} {_described(split)}" for name, split in self.splits.items())
        count = len({shard for split in self.splits.values() for shard in split.shards})
        return f"{count:,} shards with {len(self.classes)} classes ({shares})"


def cut(shards: dict[str, tuple[str, ...]], splitting: Splitting) -> dict[str, ShardSplit]:
    """Every split's samples; those that have no shards take the training samples with the lowest places."""
    shares = {"test": splitting.test_fraction, "val": splitting.val_fraction}
    splits, low = {}, 0.0
    for split, share in shares.items():
        if shards[split]:
            splits[split] = ShardSplit(shards[split])
        elif share:
            splits[split] = ShardSplit(shards["train"], low, low := min(1.0, low + share), splitting.seed)
    splits["train"] = ShardSplit(shards["train"], low, 1.0, splitting.seed)
    return {name: splits[name] for name in SPLITS if name in splits and splits[name].low < 1.0}


def _described(split: ShardSplit) -> str:
    share = split.high - split.low
    return f"{len(split.shards):,}" if share == 1 else f"{share:.0%} of {len(split.shards):,}"
