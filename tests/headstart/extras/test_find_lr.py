"""`model.lr=auto` and `data.batch_size=auto`: what they find, and that they leave no trace."""

import json
import os
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from runs import TINY, Train, assert_equal, composed, go_on, outcome, results
from torch.utils.data import DataLoader, TensorDataset

from headstart.extras.find_lr import rate_search
from headstart.extras.find_lr.rate_search import RateSearch
from headstart.extras.find_lr.tuning import find_batch_size, find_lr, largest_batch, try_batch_sizes
from headstart.machine import quiet
from project.model.classifier import Classifier
from project.trainers import make_search_trainer

AUTO = ["head=mlp", "head.norm=batch", "model.lr=auto", "features.batch_size=20", "logger=csv"]


class Regression(LightningModule):
    """Finds two weights, in groups with rates of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.lr, self.full_batch, self.biggest = 1.0, False, 0
        self.weights = torch.nn.ParameterList([torch.zeros(1), torch.zeros(1)])
        self.rates: list[list[float]] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.biggest = max(self.biggest, len(batch[0]))
        if len(batch[0]) > 8:
            raise RuntimeError("CUDA out of memory.")
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


def searcher(*overrides: str) -> partial[Trainer]:
    quiet()
    return partial(make_search_trainer, composed(*(overrides or ["trainer=cpu"])))


@pytest.mark.parametrize("batches_a_step", [1, 3])
def test_the_rate_rises_and_groups_keep_their_shares(workdir: Path, batches_a_step: int) -> None:
    search, model = RateSearch(), Regression()
    trainer = searcher("trainer=cpu", f"+trainer.accumulate_grad_batches={batches_a_step}")(search)
    trainer.fit(model, datamodule=Numbers())
    first, second = torch.tensor(model.rates).T
    torch.testing.assert_close(second, first * 0.1)
    assert search.rates[: len(search.losses)] == sorted(search.rates[: len(search.losses)])
    assert 0.001 < (search.suggestion() or 0) < 1
    assert search.losses[0] == 9.0
    assert len(search.losses) == 100
    steep = RateSearch()
    searcher()(steep).fit(Regression(), datamodule=Numbers(1000.0))
    assert len(steep.losses) < 90  # it has ended where the loss went up
    assert not list(workdir.iterdir())


@pytest.mark.parametrize("losses", [[], [1.0] * 100, [1.0] * 50 + [float("nan")] * 50], ids=["none", "flat", "nan"])
def test_no_slope_no_suggestion(losses: list[float]) -> None:
    search = RateSearch()
    search.rates, search.losses = [1e-7 * 1.2**step for step in range(len(losses))], losses
    assert search.suggestion() is None


@pytest.mark.usefixtures("workdir")
def test_a_loss_that_never_falls_is_told() -> None:
    model: Any = Regression()
    with pytest.raises(ValueError, match=r"model\.lr=auto: the loss falls at no rate, see run/lr_finder\.png; type"):
        find_lr(model, Numbers(0.0), searcher(), Path("run"))
    assert Path("run/lr_finder.png").exists()


def test_the_largest_batch_that_fits(workdir: Path) -> None:
    model: Any = Regression()
    data = Numbers()
    assert try_batch_sizes(model, data, searcher()(), most=64) == 8
    model = cast(Any, Regression())
    assert try_batch_sizes(model, data, searcher()(), most=4) == 4
    assert model.biggest == 4  # it was tried, and no larger one
    assert not list(workdir.rglob("*.ckpt"))
    assert [largest_batch(count) for count in (5, 40, 700, 10**6)] == [2, 4, 64, 1024]


def test_where_nothing_is_searched() -> None:
    model, data = cast(Any, Regression()), cast(Any, Numbers())
    data.table = SimpleNamespace(train=range(700))
    with pytest.raises(ValueError, match=r"data\.batch_size=auto is found on one device"):
        find_batch_size(model, data, searcher("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")())
    assert find_batch_size(model, data, searcher()()) == 64
    data.table = SimpleNamespace(train=range(100))
    assert find_batch_size(model, data, searcher()()) == 8
    model.full_batch = True
    assert find_batch_size(model, data, searcher()()) == 64


def test_a_run_with_auto_is_the_one_with_the_rate_typed_in(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rate_search, "FALLEN", 2.0)  # an untrained backbone's features teach nothing

    def kill(_: RateSearch, trainer: Trainer, *__: Any) -> None:
        if trainer.global_step == 20:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(RateSearch, "on_train_epoch_start", kill, raising=False)
        with pytest.raises(SystemExit) as caught:
            train(*AUTO, "hydra.run.dir=auto")
    assert caught.value.code == 128 + signal.SIGTERM
    assert not Path("auto/found.json").exists()
    go_on(monkeypatch, "resume=auto")
    found = results(Path("auto"))["found"]
    assert f"model.lr=auto: {found['model.lr']:g}, where the loss falls fastest" in capfd.readouterr().out
    assert Path("auto/lr_finder.png").exists()
    assert f"found:\n  model.lr: {found['model.lr']}" in Path("auto/csv/hparams.yaml").read_text()
    assert Classifier.load_from_checkpoint("auto/checkpoints/best.ckpt").hparams["lr"] == found["model.lr"]
    train(*AUTO, f"model.lr={found['model.lr']}", "hydra.run.dir=typed")
    assert_equal(outcome(Path("auto")), outcome(Path("typed")))


@pytest.mark.usefixtures("workdir")
def test_a_resumed_run_keeps_what_was_found(
    monkeypatch: pytest.MonkeyPatch, images: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    live = ["features.cache=false", "solver=adamw", "data.batch_size=auto", "logger=none", "trainer.max_epochs=1"]
    overrides = ["data=folder", f"data.root={images}", *TINY, *live]
    Path("run/.hydra").mkdir(parents=True)
    Path("run/.hydra/overrides.yaml").write_text(json.dumps(overrides))
    Path("run/found.json").write_text('{"data.batch_size": 20}')
    go_on(monkeypatch, "resume=run")
    assert torch.load("run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
    assert "data.batch_size=auto" not in capfd.readouterr().out
