"""The images that are examined, one row each, over all splits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)

from ...images.looks import CheckedImages
from ...images.table import SPLITS, ImageTable, Sample


@dataclass(frozen=True)
class Examined:
    """The images that can be decoded, in rows: train, then val, then test.

    `labels` int64 [images] number `classes`; `features` float32 [images, num_features] are the backbone's, which
    crops images to `crop` pixels. `damaged` are those that can't be decoded, by split.
    """

    paths: Sequence[str]
    splits: Sequence[str]
    labels: Tensor
    features: Tensor
    classes: Sequence[str]
    checked: CheckedImages = field(default_factory=lambda: CheckedImages(set(), {}, []))
    damaged: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    crop: int = 224

    def rows(self, split: str) -> Tensor:
        """The rows of a split's images, int64."""
        return torch.tensor([row for row, name in enumerate(self.splits) if name == split], dtype=torch.int64)

    def label(self, row: int) -> str:
        """An image's class."""
        return self.classes[int(self.labels[row])]

    @cached_property
    def directions(self) -> Tensor:
        """Features whose mean is zero, at length one [images, num_features]: their products are cosines.

        Without the mean, which all images of a backbone have in common, any two images would be alike.
        """
        return F.normalize(self.features - self.features.mean(dim=0), dim=1)


def examined(table: ImageTable, features: Mapping[str, Tensor], crop: int) -> Examined:
    """All images of a table, whose features are given by split."""
    splits = [split for split in SPLITS if table.part(split)]
    samples = [sample for split in splits for sample in table.part(split)]
    return Examined(
        paths=[sample.path for sample in samples],
        splits=[split for split in splits for _ in table.part(split)],
        labels=torch.tensor([sample.label for sample in samples]),
        features=torch.cat([features[split] for split in splits]),
        classes=table.classes,
        checked=table.checked or CheckedImages(set(), {}, []),
        damaged=table.left_out,
        crop=crop,
    )


def watched(items: Sequence[Any], what: str) -> Iterable[Any]:
    """The items, with a progress bar on a terminal."""
    return track(items, what, disable=not Console().is_terminal, transient=True)
