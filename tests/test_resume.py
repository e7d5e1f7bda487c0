"""A run that is stopped anywhere and gone on with is, bit for bit, the run that was never stopped."""

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, Train, results
from lightning.pytorch import Trainer

from headstart.callbacks import History

LIVE = ["features.cache=false", "data.batch_size=8"]  # 40 training pictures: 5 batches an epoch
ROADS = {
    "cached": ["head=mlp", "features.batch_size=8"],
    "views": ["head=mlp", "features.batch_size=8", "features.views=2"],
    "live": [*LIVE, "head=mlp", "augment=randaugment", "augment.mixup=0.2", "augment.cutmix=1"],
    "workers": [*LIVE, "head=mlp", "augment=light", "data.num_workers=2"],
    "accumulated": ["head=mlp", "features.batch_size=8", "+trainer.accumulate_grad_batches=2"],
    "plateau": [
        "head=mlp", "features.batch_size=8", "~model.scheduler.warmup", "+model.scheduler.patience=0",
        "model.scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
    ],
    "lbfgs": [],
    "lbfgs live": LIVE,
}  # fmt: skip


def signal_at(
    monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int, in_folder: str = "", signum: int = signal.SIGTERM
) -> None:
    """Send this process a signal while a batch of an epoch is trained on."""

    def on_train_batch_start(self: Any, trainer: Trainer, _: Any, __: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (epoch, batch) and str(self.path.parent).endswith(in_folder):
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(History, "on_train_batch_start", on_train_batch_start, raising=False)


def go_on(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run train.py with nothing but these arguments: what it trains on comes from the run."""
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")


def outcome(run_dir: Path) -> dict[str, Any]:
    """Everything that two equal runs have in common."""
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        "weights": checkpoint["state_dict"],
        "optimizer": checkpoint["optimizer_states"],
        "scheduler": checkpoint["lr_schedulers"],
        "step": checkpoint["global_step"],
        "curve": (run_dir / "metrics.csv").read_text(),
        "metrics": results(run_dir)["metrics"],
        "status": results(run_dir)["status"],
    }


def assert_equal(found: Any, wanted: Any, name: str = "") -> None:
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), name
        for key in wanted:
            assert_equal(found[key], wanted[key], f"{name}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), name
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_equal(one, other, f"{name}.{number}")
    elif isinstance(wanted, torch.Tensor):
        assert torch.equal(found, wanted), name
    else:
        assert found == wanted, name


def stops(road: str) -> list[tuple[int, int]]:
    """Epoch and batch of every signal that one run gets: the first step, a middle one, an epoch's last and first."""
    if road == "lbfgs":  # one batch an epoch
        return [(0, 0), (1, 0), (2, 0)]
    if road == "lbfgs live":  # whose signals wait for the epoch's end
        return [(0, 0), (1, 2), (2, 0)]
    return [(0, 0), (1, 2), (1, 4), (2, 0)]


@pytest.mark.parametrize("road", ROADS)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(train: Train, monkeypatch: pytest.MonkeyPatch, road: str) -> None:
    options = [*ROADS[road], "trainer.max_epochs=3", "patience=9", "logger=none"]
    train(*options, "hydra.run.dir=logs/runs/whole")
    wanted = outcome(Path("logs/runs/whole"))
    run_dir = Path("logs/runs/stopped")
    for epoch, batch in stops(road):
        with monkeypatch.context() as patch:
            signal_at(patch, epoch, batch)
            with pytest.raises(SystemExit) as caught:
                go_on(patch, f"resume={run_dir}") if run_dir.exists() else train(*options, f"hydra.run.dir={run_dir}")
        assert caught.value.code == 128 + signal.SIGTERM, f"{road}, stopped in epoch {epoch}, batch {batch}"
        assert results(run_dir)["status"] == "interrupted"
    go_on(monkeypatch, f"resume={run_dir}")
    assert_equal(outcome(run_dir), wanted, road)
