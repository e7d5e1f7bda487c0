"""The one pass over shards: every shard's features are a file of their own, and those of a split are joined to one."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from tqdm import tqdm

from ...errors import UserError
from ...features.compute import FeaturePass, Name
from ...features.file import read_features, write_rows
from ...features.key import feature_key, model_metadata
from ...features.metadata import ENDING, LOCK, PART, read_metadata
from .classes import number_of
from .data import ShardData
from .prefetch import prefetch
from .rows import choose, shard_metadata, split_metadata
from .tar import Packed, read_shard

log = logging.getLogger(__name__)


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
        model, precision = self.model, str(self.trainer.precision)
        common = model_metadata(model.spec, model.digest, model.preprocessing, precision, view)
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
        unpack, numbers = self.images.unpack([view] if view else None), self.images.numbers
        batches = unpack.batches(read_shard(shard), self.images.batch_size)
        for images, samples, broken in batches if self.device.type == "cpu" else prefetch(batches):
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
