"""The feature cache for shards: every shard's features are a file of their own, those of a split are joined to one."""

from __future__ import annotations

import json
import logging
import os
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from tqdm import tqdm

from ...errors import UserError
from ...features.cache import FeatureData
from ...features.compute import FeaturePass, Name
from ...features.file import read_features, write_rows
from ...features.inventory import ENDING, LOCK, PART, read_metadata
from ...features.key import backbone_metadata, feature_key
from ...files import manifest
from .classes import number_of
from .tar import Packed, is_local, read_shard

if TYPE_CHECKING:
    from .data import ShardData

PREFETCHED = 2  # batches that are decoded in advance, while a device computes

T = TypeVar("T")

log = logging.getLogger(__name__)


class ShardFeatures(FeatureData):
    """Batches of features and labels for all samples of `images`, as FeatureData has them."""

    images: ShardData

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
        return [split] if split in self.images.splits else []

    def _pass(self) -> ShardPass:
        return ShardPass(self.images, self.backbone, self._trainer, self.folder, self.verify)

    def _labels(self, split: str) -> Tensor:
        return read_features(self.files[split, 0], "labels").long()


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
        shards = {name: self._shard_metadata(*name) for name in names}
        metadata = {name: split_metadata(shards[name], self.images, name[0]) for name in names}
        paths = {name: self.folder / (feature_key(metadata[name]) + ENDING) for name in names}
        missing = self.trainer.strategy.broadcast([name for name in names if not paths[name].exists()])
        started, self.streamed = time.perf_counter(), 0
        wanted = {self._path(one): one for name in missing for one in shards[name]}
        with torch.random.fork_rng(devices=[]), self._progress(None if wanted else 0) as bar:
            problem = self._compute(wanted, bar)
            for name in missing:
                problem = problem or self._join(name, paths[name], shards[name], metadata[name], bar)
        if problem:
            log.warning(f"features can't be kept in {self.folder} ({problem}): every epoch computes them anew")
            return None
        found = [read_metadata(path) for path in paths.values()]
        self.images.leave_out({problem for one in found for problem in one["skipped"]})
        seconds, images = time.perf_counter() - started, sum(one["images"] for one in found)
        speed = f" in {seconds:.1f} s" if missing else ""
        log.info(f"features: {images:,} images in {self.folder}, {self.streamed:,} of them computed now{speed}")
        return paths

    def _shard_metadata(self, split: str, view: int) -> list[dict[str, Any]]:
        common = backbone_metadata(self.backbone, str(self.trainer.precision), view)
        return shard_metadata(common, self.images, split, self.verify)

    def _path(self, metadata: dict[str, Any]) -> Path:
        return self.folder / (feature_key(metadata) + ENDING)

    def _compute(self, wanted: dict[Path, dict[str, Any]], bar: tqdm) -> str | None:
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
        self.streamed = int(strategy.reduce(torch.tensor(self.streamed, device=self.device), reduce_op="sum"))
        done = strategy.reduce_boolean_decision(problem is None, all=True)
        return None if done else problem or "another process failed"

    def _write_shard(self, path: Path, metadata: dict[str, Any], timeout: int, bar: tqdm) -> None:
        """Compute and write one shard's features, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path.with_suffix(LOCK), timeout=timeout):
                if path.exists():
                    return
                kept: list[Packed] = []
                skipped: list[str] = []
                batches = self._batches(metadata["folder"], metadata["view"], kept, skipped)
                features = list(self._features(batches, bar))
                samples = json.dumps([(sample.key, sample.label) for sample in kept]).encode()
                metadata = metadata | {"images": len(kept), "skipped": skipped}
                beside = {"samples": torch.frombuffer(bytearray(samples), dtype=torch.uint8)}
                part = path.with_suffix(PART)
                write_rows(part, (len(kept), self._num_features), 0, features, metadata, beside)
                part.replace(path)
                self.streamed += len(kept)
        except Timeout:
            return

    def _batches(
        self, shard: str, view: int, kept: list[Packed], skipped: list[str]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """A shard's images, on their way to the device; notes which samples they are, and which are left out."""
        decoder, numbers = self.images.decoder([view] if view else None), self.images.numbers
        batches = decoder.batches(read_shard(shard), self.images.batch_size)
        for images, samples, broken in batches if self.device.type == "cpu" else _prefetch(batches):
            for sample in samples:
                number_of(sample.label, numbers, sample.name)  # now: joining them is hours later
                kept.append(sample._replace(content=b""))
            skipped += broken
            if samples:
                yield images, torch.empty(0)

    def _join(
        self, name: Name, path: Path, shards: list[dict[str, Any]], metadata: dict[str, Any], bar: tqdm
    ) -> str | None:
        """Write a split's features and labels as one file; returns what went wrong, if anything."""
        paths = [self._path(one) for one in shards]
        self._chosen = [
            (path, *choose(path, one["folder"], self.images, name[0])) for path, one in zip(paths, shards, strict=True)
        ]
        metadata["images"] = sum(len(rows) for _, rows, _ in self._chosen)
        if not metadata["images"]:
            raise UserError(f"there are no {name[0]} images in {metadata['folder']} (data.{name[0]}_fraction)")
        metadata["rows"] = [len(rows) for _, rows, _ in self._chosen]
        metadata["skipped"] = [problem for one in shards for problem in read_metadata(self._path(one))["skipped"]]
        return self._write(name, path, metadata, bar)

    def _write_share(self, name: Name, part: Path, metadata: dict[str, Any], bar: tqdm) -> None:
        """Join them, in the first process: it copies and computes nothing."""
        if self.trainer.is_global_zero:
            labels = torch.cat([labels for _, _, labels in self._chosen])
            batches = (read_features(path)[rows] for path, rows, _ in self._chosen)
            write_rows(part, (metadata["images"], self._num_features), 0, batches, metadata, {"labels": labels})


def shard_metadata(common: dict[str, Any], images: ShardData, split: str, verify: str) -> list[dict[str, Any]]:
    """What each shard's features depend on; `common` is what all depend on."""
    common = common | {"max_pixels": images.loading.max_pixels}
    shards = images.split(split).shards
    return [common | {"files": _identity(shard, verify), "folder": shard} for shard in shards]


def split_metadata(shards: list[dict[str, Any]], images: ShardData, name: str) -> dict[str, Any]:
    """What the features of a whole split depend on."""
    split = images.split(name)
    common = {key: value for key, value in shards[0].items() if key not in ("files", "folder")}
    return common | {
        "shards": [feature_key(one) for one in shards],
        "part": [split.low, split.high, split.seed],
        "classes": list(images.classes),
        "folder": f"{len(shards)} shards, {split.shards[0]} first",
    }


def choose(path: Path, shard: str, images: ShardData, name: str) -> tuple[Tensor, Tensor]:
    """Which rows of a shard's file `path` belong to a split, and their labels."""
    stored = json.loads(bytes(read_features(path, "samples").tolist()))
    samples = [Packed(shard, key, b"", label) for key, label in stored]
    rows = [row for row, sample in enumerate(samples) if images.split(name).has(sample)]
    labels = [number_of(samples[row].label, images.numbers, samples[row].name) for row in rows]
    return torch.tensor(rows, dtype=torch.int64), torch.tensor(labels, dtype=torch.int32)


def _identity(shard: str, verify: str) -> str:
    return manifest([os.path.abspath(shard)], verify) if is_local(shard) else shard  # noqa: PTH100 (as in key.py)


def _prefetch(items: Iterable[T]) -> Iterator[T]:
    """The same items, a few of which another thread fetches in advance."""
    with ThreadPoolExecutor(1) as pool:
        iterator = iter(items)
        coming = deque(pool.submit(next, iterator, None) for _ in range(PREFETCHED))
        while (item := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, iterator, None))
            yield item
