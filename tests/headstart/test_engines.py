"""Which engine computes features: the faster one, whose features are the same; and what is remembered of it."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headstart.errors import UserError
from headstart.features import engines
from headstart.features.engines import Engine, check_engine, fastest, other_engine
from headstart.features.trial import MEMORY, Trial, recall, remember, try_engine

CPU = torch.device("cpu")
NOISE = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
OPENVINO = Engine("openvino", "1.0", bf16=False, forced=False)
MANY = 10**9  # images


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


class Off(nn.Module):
    """Another's features, each `by` so much larger."""

    def __init__(self, inner: nn.Module, by: float) -> None:
        super().__init__()
        self.inner, self.by = inner, by

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images) * (1 + self.by)


@pytest.mark.parametrize(
    ("by", "bf16", "problem"),
    [
        (0.0, False, ""),
        (1e-3, False, "its features differ by 1.0e-03, more than 1.0e-04"),
        (1e-3, True, ""),
        (0.5, True, "its features differ by 5.0e-01"),
        (float("nan"), True, "its features differ by inf"),
    ],
)
def test_other_features_are_noticed(by: float, bf16: bool, problem: str) -> None:
    trial, made = try_engine(lambda inner, *_: Off(inner, by), network(), NOISE, bf16)
    assert trial.problem.startswith(problem)
    assert bool(trial.problem) == bool(problem) == (made is None)
    assert trial.torch > 0


def test_what_fails_is_one_line() -> None:
    def fail(*_: Any) -> nn.Module:
        raise RuntimeError("no such operation\nand more")

    assert try_engine(fail, network(), NOISE, False)[0].problem == "no such operation"
    short = try_engine(lambda inner, *_: nn.Sequential(inner, nn.Linear(4, 2)), network(), NOISE, False)[0]
    assert short.problem == "its features have the shape (8, 2), PyTorch's (8, 4)"


@pytest.mark.parametrize(("count", "pays"), [(1000, False), (3000, True)])
def test_converting_is_part_of_what_it_costs(count: int, pays: bool) -> None:
    assert Trial(torch=100, engine=200, seconds=10).pays(count) == pays


def test_for_few_images_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "entry_points", None)  # which would be asked for what to convert by
    assert fastest(OPENVINO, network(), NOISE[:2], lambda: NOISE, 10, tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("known", [Trial(100, 90, 1), Trial(100, 200, 1, "no such operation")], ids=str)
def test_what_is_remembered_is_not_tried_again(
    known: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "key_of", lambda *_: "key")
    monkeypatch.setattr(engines, "entry_points", None)
    remember(tmp_path, "key", known)
    with caplog.at_level(logging.INFO, "headstart"):
        assert fastest(OPENVINO, network(), NOISE[:2], lambda: NOISE, MANY, tmp_path) is None
    assert caplog.messages == (
        [f"features: computed by torch, as openvino can't be used: {known.problem}"] if known.problem else []
    )


def test_a_memory_that_cant_be_read_is_none(tmp_path: Path) -> None:
    for text in ("", "[]", "{}x", '{"a": {"more": 1}}', '{"a": 3}'):
        (tmp_path / MEMORY).write_text(text)
        assert recall(tmp_path) == {}
    remember(tmp_path, "a", Trial(1, 2, 3))
    remember(tmp_path, "b", Trial(4))
    assert recall(tmp_path) == {"a": Trial(1, 2, 3), "b": Trial(4)}
    assert set(json.loads((tmp_path / MEMORY).read_text())) == {"a", "b"}
    remember(tmp_path / "nowhere", "a", Trial(1))
    assert not (tmp_path / "nowhere").exists()


def test_who_isnt_there_is_named_or_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"features.engine=hope: choose auto, torch or openvino"):
        check_engine("hope")
    monkeypatch.setattr(engines, "OTHERS", ("not-there",))
    with pytest.raises(
        UserError, match=r"features.engine=not-there: it is not installed: pip install -e .\[not-there]"
    ):
        check_engine("not-there")
    assert other_engine("auto", CPU, "32-true") is None


def test_a_gpu_and_several_processes_keep_pytorch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "TORCH", "PyTorch")
    monkeypatch.setattr(engines, "OTHERS", ("torch",))  # as a package that is there
    assert other_engine("auto", CPU, "bf16-mixed") is None  # there, other features would be a surprise
    found = other_engine("torch", CPU, "bf16-mixed")
    assert found
    assert (found.bf16, found.forced, found.label) == (True, True, f"torch {found.version}")
    assert other_engine("auto", CPU, "32-true").label == ""  # pyright: ignore[reportOptionalMemberAccess]
    for device, precision, processes in (("cuda", "32-true", 1), ("cpu", "bf16-true", 1), ("cpu", "32-true", 2)):
        for wanted, lines in (("auto", 0), ("torch", 1)):
            caplog.clear()
            assert other_engine(wanted, torch.device(device), precision, processes) is None
            assert len(caplog.messages) == lines
