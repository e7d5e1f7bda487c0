"""Whatever can change a feature changes the name of the file that it is kept in."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from headstart.backbone import Backbone, Preprocessing
from headstart.features import compute as module
from headstart.features.compute import feature_key, feature_metadata
from headstart.files import manifest
from headstart.images.table import Sample

PREPROCESSING = Preprocessing(256, 224, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SPEC = {"_target_": "some.where.network", "variant": 0}
BACKBONE = Backbone(nn.Linear(1, 1), 1, PREPROCESSING, SPEC)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode() * 10)
    return [Sample(str(tmp_path / f"{name}.jpg"), 0) for name in "ab"]


def key(samples: list[Sample], precision: str = "32-true", view: int = 0, verify: str = "stat", **changes: Any) -> str:
    backbone = replace(BACKBONE, **changes)
    return feature_key(
        feature_metadata(backbone, precision, samples, view, manifest([one.path for one in samples], verify))
    )


def test_the_same_is_found_again(samples: list[Sample]) -> None:
    assert key(samples) == key(list(samples))
    assert key(samples, verify="content") == key(samples, verify="content")
    assert key([Sample(path, 1) for path, _ in samples]) == key(samples)  # labels are no business of the backbone


@pytest.mark.parametrize(
    "change",
    [
        {"network": nn.Linear(1, 1)},
        {"spec": SPEC | {"variant": 1}},
        {"precision": "bf16-mixed"},
        {"view": 1},
        {"verify": "content"},
        {"preprocessing": replace(PREPROCESSING, resize=255)},
        {"preprocessing": replace(PREPROCESSING, crop=192)},
        {"preprocessing": replace(PREPROCESSING, interpolation="bilinear")},
        {"preprocessing": replace(PREPROCESSING, mean=(0.5, 0.5, 0.4))},
    ],
    ids=str,
)
def test_another_weight_transform_or_dtype_is_another_file(samples: list[Sample], change: dict[str, Any]) -> None:
    assert key(samples, **change) != key(samples)


def test_another_version_of_torch_is_another_file(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(samples)
    monkeypatch.setattr(module, "_version", lambda name: f"{name} 9.9")
    assert key(samples) != before


def test_a_package_of_the_backbones_own_counts(samples: list[Sample]) -> None:
    assert key(samples, packages=("pytest",)) != key(samples)


def test_another_order_or_another_image_is_another_file(samples: list[Sample]) -> None:
    assert len({key(samples), key(samples[::-1]), key(samples[:1])}) == 3


def rewrite(path: Path) -> None:
    path.write_bytes(b"x" * 10)  # as many bytes as before


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def grow(path: Path) -> None:
    times = path.stat()
    path.write_bytes(path.read_bytes() + b"x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def change_secretly(path: Path) -> None:
    times = path.stat()
    rewrite(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "verify", "differs"),
    [
        (rewrite, "stat", True),
        (touch, "stat", True),
        (grow, "stat", True),
        (change_secretly, "stat", False),  # which is why there is
        (change_secretly, "content", True),
        (touch, "content", False),
    ],
)
def test_one_changed_image(samples: list[Sample], change: Callable[[Path], None], verify: str, differs: bool) -> None:
    before = key(samples, verify=verify)
    change(Path(samples[1].path))
    assert (key(samples, verify=verify) != before) == differs
