"""The feature cache for shards: every shard's features are a file of their own, those of a split are joined to one."""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from tqdm import tqdm

from ...backbone import normalise
from ...errors import UserError
from ...features.cache import FeatureData
from ...features.compute import FeaturePass, Name, backbone_metadata, feature_key
from ...features.file import read_features, write_rows
from ...features.inventory import LOCK, PART, read_metadata
from ...files import manifest
from ...images.augmentation import LIGHT, Augment
from .stream import LoadedBatch
from .tar import Packed, ShardSplit, is_local, label_numbers, number_of

if TYPE_CHECKING:
    from .data import ShardData

PREFETCHED = 2  # batches that are decoded in advance, while a device computes


class ShardPass(FeaturePass):
    """Sees to it that `folder` holds the features of all shards; every process takes whole shards.

    A shard's file has the features of all its samples, whatever split and class they belong to, so other classes and
    other splits need no second pass. A killed run loses the shards that it was reading, and two runs share the work.
    """

    images: ShardData

    def ensure(self, names: list[Name]) -> dict[Name, Path] | None:
        """The files with features and labels of every name; None when they couldn't be written.

        Raises:
            UserError: a shard or, unless they may be skipped, an image can't be read, or a label is no class's.
        """
        self._shards: dict[Name, list[dict[str, Any]]] = {}  # what the features of each shard of a name depend on
        paths = super().ensure(names)
        self.images.leave_out({one for path in (paths or {}).values() for one in read_metadata(path)["skipped"]})
        return paths

    def _metadata(self, split: str, view: int) -> dict[str, Any]:
        """What the features of a split depend on; notes what those of each of its shards do."""
        part, precision = self.images.split(split), str(self.trainer.precision)
        common = backbone_metadata(self.backbone, precision, view, self.engine_label)
        common["max_pixels"] = self.images.loading.max_pixels
        shards = [common | {"files": _identity(shard, self.verify), "folder": shard} for shard in part.shards]
        self._shards[split, view] = shards
        return common | {
            "shards": [feature_key(one) for one in shards],
            "part": [part.low, part.high, part.seed],
            "classes": list(self.images.classes),
            "folder": f"{len(shards)} shards, {part.shards[0]} first",
        }

    def _first_images(self, split: str, view: int) -> Tensor:
        shards = (one["folder"] for one in self._shards[split, view])
        batches = (images for shard in shards for images, _ in self._batches(shard, view, [], []))
        return normalise(next(batches), *self.backbone.preprocessing.mean_and_std())

    def _compute(self, paths: dict[Name, Path], metadata: dict[Name, dict[str, Any]], bar: tqdm) -> str | None:
        wanted = {self._path(one): one for name in paths for one in self._shards[name]}
        return self._write_shards(wanted, bar) or super()._compute(paths, metadata, bar)

    def _write_shards(self, wanted: dict[Path, dict[str, Any]], bar: tqdm) -> str | None:
        """Compute those shards' features that aren't there; returns what is wrong with the folder, if anything."""
        strategy = self.trainer.strategy
        absent = strategy.broadcast([path for path in wanted if not path.exists()])
        own = absent[self.trainer.global_rank :: self.trainer.world_size]
        problem = mistake = None
        try:
            for timeout in (0, -1):  # those that another run is at are waited for when nothing else is left to do
                for path in own:
                    self._write_shard(path, wanted[path], timeout, bar)
        except OSError as error:
            problem = error.strerror or str(error)
        except ValueError as error:
            mistake = error
        if not strategy.reduce_boolean_decision(mistake is None, all=True):
            raise mistake or UserError("another process can't read its shards, and says why")
        self.computed = int(strategy.reduce(torch.tensor(self.computed, device=self.device), reduce_op="sum"))
        done = strategy.reduce_boolean_decision(problem is None, all=True)
        return None if done else problem or "another process failed"

    def _write_shard(self, path: Path, metadata: dict[str, Any], timeout: int, bar: tqdm) -> None:
        """Compute and write one shard's features, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout), FileLock(path.with_suffix(LOCK), timeout=timeout):
            if path.exists():
                return
            samples: list[tuple[str, str]] = []
            skipped: list[str] = []
            batches = self._batches(metadata["folder"], metadata["view"], samples, skipped)
            features = list(self._features(batches, bar))
            metadata = metadata | {"images": len(samples), "skipped": skipped}
            beside = {"samples": torch.frombuffer(bytearray(json.dumps(samples).encode()), dtype=torch.uint8)}
            part = path.with_suffix(PART)
            write_rows(part, (len(samples), self._num_features), 0, features, metadata, beside)
            part.replace(path)
            self.computed += len(samples)

    def _batches(
        self, shard: str, view: int, samples: list[tuple[str, str]], skipped: list[str]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """A shard's images, on their way to the device; notes which samples they are, and which are left out."""
        stream = self.images.stream(ShardSplit((shard,)), LIGHT if view else Augment(), (view,))
        for batch in stream if self.device.type == "cpu" else _prefetch(stream):
            samples += [(sample.key, sample.label) for sample in batch.samples]
            skipped += batch.broken
            if batch.samples:
                yield batch.images, batch.labels

    def _write(self, name: Name, path: Path, metadata: dict[str, Any], bar: tqdm) -> str | None:
        """Join the shards' files to one with a split's features and labels."""
        shards = {self._path(one): one["folder"] for one in self._shards[name]}
        self._chosen = {file: self._choose(file, shard, name[0]) for file, shard in shards.items()}
        metadata["rows"] = [len(rows) for rows, _ in self._chosen.values()]
        metadata["images"] = sum(metadata["rows"])
        if not metadata["images"]:
            raise UserError(f"there are no {name[0]} images in {metadata['folder']} (data.{name[0]}_fraction)")
        metadata["skipped"] = [problem for file in shards for problem in read_metadata(file)["skipped"]]
        return super()._write(name, path, metadata, bar)

    def _choose(self, path: Path, shard: str, split: str) -> tuple[Tensor, Tensor]:
        """Which rows of a shard's file belong to a split, and their labels."""
        part, numbers = self.images.split(split), label_numbers(self.images.classes)
        stored = json.loads(bytes(read_features(path, "samples").tolist()))
        samples = [Packed(shard, key, b"", label) for key, label in stored]
        rows = [row for row, sample in enumerate(samples) if part.has(sample)]
        labels = [number_of(samples[row].label, numbers, samples[row].name) for row in rows]
        return torch.tensor(rows, dtype=torch.int64), torch.tensor(labels, dtype=torch.int32)

    def _write_share(self, name: Name, part: Path, metadata: dict[str, Any], bar: tqdm) -> None:
        """Join them, in the first process: it copies and computes nothing."""
        if self.trainer.is_global_zero:
            labels = torch.cat([labels for _, labels in self._chosen.values()])
            batches = (read_features(path)[rows] for path, (rows, _) in self._chosen.items())
            write_rows(part, (metadata["images"], self._num_features), 0, batches, metadata, {"labels": labels})


class ShardFeatures(FeatureData):
    """Batches of features and labels for all samples of `images`, as FeatureData has them."""

    images: ShardData
    feature_pass = ShardPass

    def files_of_batch(self, epoch: int, batch_idx: int) -> list[str]:
        """The shards of a training batch's images; the images themselves where they are streamed."""
        shards = self.images.split("train").shards
        if self.live:
            return self.images.files_of_batch(epoch, batch_idx)
        if self.full_batch:
            return list(shards)
        ends = list(accumulate(read_metadata(self.files["train", 0])["rows"]))
        rows = self.images.order(self.batch_size, ends[-1]).batches(epoch)[batch_idx]
        return sorted({shards[bisect_right(ends, row)] for row in rows.tolist()})

    def _parts(self, split: str) -> list[str]:
        return [split] if split in self.images.found.splits else []

    def _labels(self, split: str) -> Tensor:
        return read_features(self.files[split, 0], "labels").long()


def _identity(shard: str, verify: str) -> str:
    return manifest([os.path.abspath(shard)], verify) if is_local(shard) else shard  # noqa: PTH100 (as in features/compute.py)


def _prefetch(items: Iterable[LoadedBatch]) -> Iterator[LoadedBatch]:
    """The same items, a few of which another thread fetches in advance."""
    with ThreadPoolExecutor(1) as pool:
        iterator = iter(items)
        coming = deque(pool.submit(next, iterator, None) for _ in range(PREFETCHED))
        while (item := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, iterator, None))
            yield item
