"""How a head's cost grows is measured by scripts/dev/growth.py: each solver, in a process of its own."""

from pathlib import Path

import growth
import pytest
import torch

from headstart.features.file import write_rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "features.safetensors"
    write_rows(path, (400, growth.COLUMNS), 0, growth.synthetic(400), {})
    return path


def test_the_features_tell_the_classes_apart() -> None:
    (features,) = growth.synthetic(400, classes=20)
    means = torch.stack([features[label::20].mean(dim=0) for label in range(20)])
    assert torch.cdist(features[20:40], means).argmin(dim=1).tolist() == list(range(20))


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of torch, by Lightning's loader of several
@pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")  # of so few batches
@pytest.mark.parametrize("solver", growth.SOLVERS)
def test_every_solver_is_measured(file: Path, solver: str) -> None:
    seconds, megabytes = growth.measured(growth.SOLVERS[solver], file, 400, 10)
    assert 0 < seconds < 60
    assert 0 <= megabytes < 2000


@pytest.mark.slow
def test_one_that_takes_too_long_is_said_to(file: Path) -> None:
    assert growth.in_a_process("adamw", file, 400, 10, limit=0.1) == "> 0"
    seconds, _ = growth.in_a_process("adamw", file, 400, 10, limit=120).split(", ")
    assert float(seconds) > 0
