"""The one pass through the backbone: what isn't there yet is computed on the Trainer's devices, and written."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache, cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning.pytorch import Trainer
from torch import Tensor, nn
from tqdm import tqdm

from ..backbone import CPU_CHUNK, Backbone, compute_features, normalise
from ..errors import printable
from ..files import common_folder, manifest
from ..images.scaled import KEPT
from ..images.source import ImageSource
from ..images.table import Sample
from .engines import TORCH, fastest, other_engine
from .fast_network import WORTH_IT, Compiled, fold_batchnorms
from .file import write_rows
from .inventory import ENDING, LOCK, PART, read_metadata

Name = tuple[str, int]  # a split or a fold, and which view of its images

FORMAT = 3  # raise it whenever the same inputs come to other features
# Networks, kernels, decoders and random numbers.
PACKAGES = ("torch", "torchvision", "timm", "pillow", "simplejpeg", "numpy")

log = logging.getLogger(__name__)


class FeaturePass:
    """Sees to it that `folder` holds the features of `images`; every process of the Trainer does its share."""

    def __init__(
        self,
        images: ImageSource,
        backbone: Backbone,
        trainer: Trainer,
        folder: Path,
        verify: str,
        engine: str = TORCH,
    ) -> None:
        self.images, self.backbone, self.trainer, self.folder, self.verify = images, backbone, trainer, folder, verify
        self.device, self.engine = trainer.strategy.root_device, engine
        self.engine_label = ""  # what features of another engine than PyTorch are known by
        self._converted: nn.Module | None = None  # the network by such an engine
        self.computed = self.wanted = 0

    def ensure(self, names: list[Name]) -> dict[Name, Path] | None:
        """The files with the features of every name, some of them written just now; None when that failed."""
        # What is drawn on the way must not change what a run draws later: a first run and a second are the same.
        with torch.random.fork_rng(devices=[]):
            started = time.perf_counter()
            return self._ensure(names, self._metadata_by_engine(names), started)

    def _ensure(
        self, names: list[Name], metadata: dict[Name, dict[str, Any]], started: float
    ) -> dict[Name, Path] | None:
        paths = {name: self._path(metadata[name]) for name in names}
        missing = self.trainer.strategy.broadcast([name for name in names if not paths[name].exists()])
        self.wanted = sum(metadata[name].get("images", 0) for name in missing)
        with self._progress(bool(missing)) as bar:
            problem = self._compute({name: paths[name] for name in missing}, metadata, bar)
        if problem:
            log.warning(f"features can't be kept in {self.folder} ({problem}): every epoch computes them anew")
            return None
        seconds = time.perf_counter() - started
        images = sum(read_metadata(path)["images"] for path in paths.values())
        speed = f" in {seconds:.1f} s ({self.computed / seconds:,.0f} a second)" if self.computed else ""
        log.info(f"features: {images:,} images in {self.folder}, {self.computed:,} of them computed now{speed}")
        return paths

    def _metadata_by_engine(self, names: list[Name]) -> dict[Name, dict[str, Any]]:
        """What the features of every name depend on, by the engine that is to compute them, or can."""
        other = other_engine(self.engine, self.device, str(self.trainer.precision), self.trainer.world_size)
        metadata = self._metadata_of(names, other.label if other else "")
        missing = [one for one in metadata.values() if not self._path(one).exists()]
        if other is None or not missing:
            return metadata
        count = sum(one.get("images", 0) for one in missing)
        with suppress(OSError):  # what can't be written is said later
            self.folder.mkdir(parents=True, exist_ok=True)
        first, example = partial(self._first_images, *names[0]), self.backbone.preprocessing.example()
        self._converted = self._converted or fastest(other, self._network, example, first, count, self.folder)
        return metadata if self._converted else self._metadata_of(names, "")

    def _metadata_of(self, names: list[Name], label: str) -> dict[Name, dict[str, Any]]:
        self.engine_label = label
        return {name: self._metadata(*name) for name in names}

    def _first_images(self, split: str, view: int) -> Tensor:
        """Some images of a split, as the network wants them."""
        table = self.images.table
        assert table is not None, "call setup() first"
        rows = range(min(CPU_CHUNK, len(table.part(split))))
        images, _ = next(iter(self.images.loader(split, view, rows, self.device.type)))
        return normalise(images, *self.backbone.preprocessing.mean_and_std())

    def _path(self, metadata: dict[str, Any]) -> Path:
        return self.folder / (feature_key(metadata) + ENDING)

    def _compute(self, paths: dict[Name, Path], metadata: dict[Name, dict[str, Any]], bar: tqdm) -> str | None:
        """Compute and write all files; returns what went wrong, if anything."""
        problems = (self._write(name, path, metadata[name], bar) for name, path in paths.items())
        return next(filter(None, problems), None)

    def _write(self, name: Name, path: Path, metadata: dict[str, Any], bar: tqdm) -> str | None:
        """Compute and write one file, unless another run does so meanwhile; returns what went wrong, if anything."""
        part = path.with_suffix(PART)
        with self._locked(path) as problem:
            if problem or self.trainer.strategy.broadcast(path.exists()):
                return problem
            try:
                self._write_share(name, part, metadata, bar)
            except OSError as error:
                problem = error.strerror or str(error)
            done = self.trainer.strategy.reduce_boolean_decision(problem is None, all=True)
            if self.trainer.is_global_zero:
                part.replace(path) if done else part.unlink(missing_ok=True)
            self.trainer.strategy.barrier("features are written")
        return None if done else problem or "another process failed"

    def _write_share(self, name: Name, part: Path, metadata: dict[str, Any], bar: tqdm) -> None:
        """Compute and write this process's share of a file's rows."""
        count, rank, world_size = metadata["images"], self.trainer.global_rank, self.trainer.world_size
        rows = range(rank * count // world_size, (rank + 1) * count // world_size)
        batches = self.images.loader(*name, rows, self.device.type)
        write_rows(part, (count, self._num_features), rows.start, self._features(batches, bar), metadata)
        self.computed += count

    def _features(self, batches: Iterable[tuple[Tensor, Tensor]], bar: tqdm) -> Iterator[Tensor]:
        mean, std = (values.to(self.device) for values in self.backbone.preprocessing.mean_and_std())
        for images, _ in batches:
            with self.trainer.precision_plugin.forward_context():
                yield compute_features(self._fastest, images.to(self.device, non_blocking=True), mean, std).cpu()
            bar.update(len(images) * self.trainer.world_size)

    @cached_property
    def _network(self) -> nn.Module:
        network = fold_batchnorms(self.backbone.network, self.backbone.preprocessing.example()).to(
            memory_format=torch.channels_last
        )
        return network.to(self.device)

    @cached_property
    def _fastest(self) -> nn.Module:
        if self._converted:
            return self._converted
        if self.wanted < WORTH_IT:
            return self._network
        size = min(self.images.batch_size, CPU_CHUNK) if self.device.type == "cpu" else self.images.batch_size
        batch = (
            self.backbone.preprocessing.example()[:1]
            .expand(size, -1, -1, -1)
            .contiguous(memory_format=torch.channels_last)
        )
        return Compiled(self._network, batch.to(self.device))

    @cached_property
    def _num_features(self) -> int:
        with torch.no_grad():
            return self._network(self.backbone.preprocessing.example().to(self.device)).shape[1]

    def _metadata(self, split: str, view: int) -> dict[str, Any]:
        table = self.images.table
        assert table is not None, "call setup() first"
        samples, known = table.part(split), table.manifests  # a sweep's jobs share a table
        files = known.get((split, self.verify)) or manifest([sample.path for sample in samples], self.verify)
        known[split, self.verify] = files
        return feature_metadata(self.backbone, str(self.trainer.precision), samples, view, files, self.engine_label)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[str | None]:
        """Hold the file's lock, which the system lets go of when this process dies; yields why it can't be had."""
        lock, problem = FileLock(path.with_suffix(LOCK)), None
        if self.trainer.is_global_zero:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=0)
            except Timeout:
                log.info("features: another run is computing them; waiting for it")
                lock.acquire()
            except OSError as error:
                problem = error.strerror or str(error)
        try:
            yield self.trainer.strategy.broadcast(problem)
        finally:
            lock.release()

    def _progress(self, shown: bool) -> tqdm:
        """Images per second, for people: shown by one process, on a terminal, unless the Trainer shows no bars."""
        shown = shown and self.trainer.is_global_zero and self.trainer.progress_bar_callback is not None
        return tqdm(
            total=self.wanted or None, desc="Computing features", unit=" images", disable=None if shown else True
        )


def feature_metadata(
    backbone: Backbone, precision: str, samples: Sequence[Sample], view: int, files: str, engine: str = ""
) -> dict[str, Any]:
    """Everything that can change a feature: weights, preprocessing, precision, library versions, view and files.

    `files` is the samples' `manifest`; `engine` names one whose features are others than PyTorch's.
    """
    paths = [sample.path for sample in samples]
    return {
        **backbone_metadata(backbone, precision, view, engine),
        "files": files,
        "folder": printable(os.path.abspath(common_folder(paths))),  # noqa: PTH100 (the same however it was typed)
        "images": len(paths),
    }


def backbone_metadata(backbone: Backbone, precision: str, view: int, engine: str = "") -> dict[str, Any]:
    """All of it but the files."""
    return {
        "format": FORMAT,
        "backbone": backbone.spec,
        "digest": backbone.digest,
        "preprocessing": asdict(backbone.preprocessing) | {"kept": KEPT},
        "precision": precision,
        "versions": {name: _version(name) for name in (*PACKAGES, *backbone.packages)},
        "view": view,
        **({"engine": engine} if engine else {}),
    }


_version = cache(version)  # reading them takes longer than listing a thousand files


def feature_key(metadata: dict[str, Any]) -> str:
    """The metadata as 32 hexadecimal digits; any change in it gives others."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()[:32]
