"""The learning rate that a search suggests, and the script that searches."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from processes import Script
from torch.utils.data import DataLoader, TensorDataset

from headstart.extras.find_lr import RateSearch
from headstart.machine import quiet


class Regression(LightningModule):
    """Finds two weights, in groups with rates of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.lr = 1.0
        self.weights = torch.nn.ParameterList([torch.zeros(1), torch.zeros(1)])
        self.rates: list[list[float]] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.rates.append([group["lr"] for group in self.trainer.optimizers[0].param_groups])
        return (batch[0] * (self.weights[0] + self.weights[1]) - 3).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups = [
            {"params": [weight], "lr": self.lr * share} for weight, share in zip(self.weights, (1, 0.1), strict=True)
        ]
        return torch.optim.Adam(groups)


class Numbers(LightningDataModule):
    """A hundred ones, or as many zeros, at which no weight makes a difference."""

    def __init__(self, value: float = 1.0, batch_size: int = 4) -> None:
        super().__init__()
        self.numbers, self.batch_size = torch.full((100, 1), value), batch_size

    def train_dataloader(self) -> DataLoader:
        return DataLoader(TensorDataset(self.numbers), batch_size=self.batch_size)


def searched(value: float = 1.0, **options: Any) -> tuple[RateSearch, Regression]:
    quiet()
    search, model = RateSearch(), Regression()
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_epochs=-1, callbacks=[search], **silent, **options)
    trainer.fit(model, datamodule=Numbers(value))
    return search, model


@pytest.mark.parametrize("batches_a_step", [1, 3])
def test_the_rate_rises_and_groups_keep_their_ratios(batches_a_step: int) -> None:
    search, model = searched(accumulate_grad_batches=batches_a_step)
    first, second = torch.tensor(model.rates).T
    torch.testing.assert_close(second, first * 0.1)
    assert search.rates[: len(search.losses)] == sorted(search.rates[: len(search.losses)])
    assert 0.001 < (search.suggestion() or 0) < 1
    assert search.losses[0] == 9.0
    assert len(search.losses) == 100


def test_the_search_ends_where_the_loss_goes_up_and_suggests_nothing_where_it_never_falls() -> None:
    assert len(searched(1000.0)[0].losses) < 90
    assert searched(0.0)[0].suggestion() is None


@pytest.mark.parametrize("losses", [[], [1.0] * 100, [1.0] * 50 + [float("nan")] * 50], ids=["none", "flat", "nan"])
def test_no_slope_no_suggestion(losses: list[float], tmp_path: Path) -> None:
    search = RateSearch()
    search.rates, search.losses = [1e-7 * 1.2**step for step in range(len(losses))], losses
    assert search.suggestion() is None
    search.plot(tmp_path / "lr.png")
    assert (tmp_path / "lr.png").stat().st_size > 5000


@pytest.mark.slow
def test_the_script_prints_a_rate_and_draws_the_curve(images: Path, workdir: Path) -> None:
    arguments = ["data=folder", f"data.root={images}", "trainer.accelerator=cpu", "features.batch_size=20"]
    options = ["solver=adamw", "trainer.max_epochs=2", "model.lr=5"]
    done = Script("scripts/find_lr.py", *arguments, *options, cwd=workdir)
    assert done.end() == 0, done.stderr
    found = re.search(r"^model\.lr=(\S+): .* see (\S+)$", done.stdout, re.MULTILINE)
    assert found
    assert 0 < float(found[1]) < 10
    assert (workdir / found[2]).stat().st_size > 5000
    assert not list(workdir.rglob("*.ckpt"))
    done = Script("scripts/find_lr.py", *arguments, cwd=workdir)
    assert done.end() == 1
    assert done.stderr.startswith("error: solver=lbfgs has no learning rate")
