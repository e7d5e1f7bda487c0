"""What is typed for a run that goes on is applied, or refused: never written down without having been done."""

import math
import shutil
from collections import Counter
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf
from runs import CONF, Train, composed, go_on, results
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from headstart.errors import UserError, known_keys
from headstart.resume.trusted import leaves
from headstart.resume.typed import FIXED, ON_RESUME, TESTED, TRAINING, on_resume, refuse_fixed, refuse_untested

NAMES = [name for names in ON_RESUME.values() for name in names]
DESCENT = ["solver=adamw", "logger=none", "hydra.run.dir=run"]  # all 40 images in a step
LAST = "run/checkpoints/last.ckpt"


def configs(run_dir: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in run_dir.rglob(".hydra/**/*.yaml")}


def load(path: str = LAST) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def test_every_key_of_the_config_is_in_one_class() -> None:
    assert max(Counter(NAMES).values()) == 1
    parts = (".".join(map(str, key)) for key, _ in leaves(composed("solver=adamw")))
    keys = {key for key in {*known_keys(), *parts} if not {"defaults", "hydra", ""} & {*key.split(".")}}
    keys -= {path.name for path in CONF.iterdir()}  # choices
    groups = {key for key in keys if any(one.startswith(f"{key}.") for one in keys)}
    for key in keys - groups:
        parents = [key.rsplit(".", count)[0] for count in range(key.count(".") + 1)]
        assert sum(on_resume(key) == what and bool({*parents} & {*names}) for what, names in ON_RESUME.items()) == 1, (
            key
        )
    takes = {f"trainer.{name}" for name in signature(Trainer).parameters}
    found = {*NAMES, *TESTED} - keys - groups - takes - {path.name for path in CONF.iterdir()}
    assert found == {"callbacks.model_checkpoint.mode"}
    assert [on_resume(key) for key in ("mine", "model.lr", "model.strategy.mine")] == [TRAINING, TRAINING, FIXED]


@pytest.mark.slow
def test_a_new_learning_rate_trains(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train(*DESCENT)
    before = load()
    go_on(monkeypatch, "resume=run", "model.lr=0.1", "model.weight_decay=0.5", "trainer.max_epochs=3")
    after = load()
    optimizer = AdamW([torch.zeros(1)], lr=0.1, weight_decay=0.5)
    scheduler = LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / 3)))
    rates = []
    for _ in range(3):
        rates += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    (found,), (wanted,) = after["optimizer_states"][0]["param_groups"], optimizer.state_dict()["param_groups"]
    assert found | {"params": [0]} == wanted | {"name": "head"}
    assert after["lr_schedulers"][0]["base_lrs"] == [0.1]
    state = after["optimizer_states"][0]["state"]
    names = [name for name in after["state_dict"] if name.startswith("head.")]
    for number, name in enumerate(names):  # Loshchilov and Hutter 2019, algorithm 2, step 3
        step = state[number]["exp_avg"] / (1 - 0.9**3)
        step /= (state[number]["exp_avg_sq"] / (1 - 0.999**3)).sqrt() + 1e-8
        weight = before["state_dict"][name] * (1 - rates[2] * 0.5) - rates[2] * step
        torch.testing.assert_close(after["state_dict"][name], weight)
    assert results(Path("run"))["command"].endswith("model.lr=0.1 model.weight_decay=0.5 trainer.max_epochs=3")


@pytest.mark.slow
def test_what_has_no_step_to_hold_in_is_refused(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("logger=none", "hydra.run.dir=run")
    kept, said = configs(Path("run")), results(Path("run"))
    for typed in ("model.max_iter=3", "trainer.max_epochs=1", "+mine=3"):
        why = r"\(was .*\), as the run has trained 2 epochs: raise trainer.max_epochs"
        with pytest.raises(SystemExit, match=f"^error: nothing would come of .*{typed.lstrip('+')} {why}"):
            go_on(monkeypatch, "resume=run", typed)
    assert (configs(Path("run")), results(Path("run"))) == (kept, said)
    go_on(monkeypatch, "resume=run", "logger=csv", "monitor=val/f1")  # needs no training
    assert Path("run/csv").is_dir()
    assert results(Path("run"))["monitor"] == "val/f1"
    go_on(monkeypatch, "resume=run", "model.max_iter=3", "trainer.max_epochs=3")
    assert load()["optimizer_states"][0]["param_groups"][0]["max_iter"] == 3


@pytest.mark.slow
def test_a_run_that_early_stopping_ended_wants_patience(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train(*DESCENT, "patience=1", "model.lr=1e-9", "trainer.max_epochs=9")
    with pytest.raises(
        SystemExit, match=r"trainer.max_epochs=30 .*, as early stopping has ended the run after . epochs"
    ):
        go_on(monkeypatch, "resume=run", "trainer.max_epochs=30")


FROZEN = ["solver=adamw"]
LIVE = ["strategy=finetune"]
REFUSED = [
    (FROZEN, "seed=3", "seed=3 (was 0)"),
    (FROZEN, "head=mlp", "head._target_=project.model.heads.mlp (was project.model.heads.linear)"),
    (FROZEN, "norm=batch", "norm=batch (was layer)"),
    (FROZEN, "head.norm=batch", "head.norm=batch (was layer)"),
    (FROZEN, "solver=lbfgs", "model._target_=project.model.logistic_regression.LogisticRegression"),
    (FROZEN, "strategy=finetune", "model.strategy._target_=project.model.strategy.Strategy"),
    (FROZEN, "backbone.pooling=gem", "backbone.pooling=gem (was None)"),
    (FROZEN, "backbone=dinov2_small", "backbone._target_=project.backbones.timm.from_timm"),
    (FROZEN, "model.optimizer._target_=torch.optim.SGD", "model.optimizer._target_=torch.optim.SGD"),
    (FROZEN, "+model.optimizer.amsgrad=true", "model.optimizer.amsgrad=True (was nothing)"),
    (FROZEN, "monitor=val/f1", "best.metric=val/f1 (was val/accuracy)"),
    (FROZEN, "callbacks=none", "callbacks.model_checkpoint.monitor=nothing (was val/accuracy)"),
    (FROZEN, "callbacks=[default,ema]", "callbacks.ema._target_=project.callbacks.weight_average.WeightAverage"),
    (FROZEN, "features.batch_size=8", "features.batch_size=8 (was 256)"),
    (FROZEN, "features.cache=false", "features.cache=False (was True)"),
    (FROZEN, "augment=light", "features.cache=False (was True)"),
    (FROZEN, "+trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches=2 (was nothing)"),
    (FROZEN, "debug=limit", "trainer.limit_train_batches=3 (was nothing)"),
    (LIVE, "data.batch_size=8", "data.batch_size=8 (was 32)"),
    (LIVE, "backbone.freeze=1", "backbone.freeze=1 (was None)"),
    (LIVE, "model.strategy.batchnorm=fixed", "model.strategy.batchnorm=fixed (was moving)"),
]  # fmt: skip
APPLIED = [
    (FROZEN, "model.lr=1"), (FROZEN, "model.scheduler=null"), (FROZEN, "data.batch_size=8"), (FROZEN, "patience=9"),
    (FROZEN, "trainer.max_epochs=30"), (FROZEN, "features.cache=true"), (FROZEN, "data.root=elsewhere"),
    ([], "monitor=val/f1"), ([], "features.batch_size=8"), (LIVE, "augment=light"), (LIVE, "model.strategy.decay=0.5"),
    (LIVE, "+mine=1"),
    (LIVE, "backbone.weights=moved.pt"), (LIVE, "logger=csv"), (LIVE, "trainer=gpu"), (FROZEN, "features.views=2"),
]  # fmt: skip


@cache
def run(*overrides: str) -> DictConfig:
    return composed("data=folder", *overrides)


@pytest.mark.slow
def test_what_training_came_of_is_refused() -> None:
    for began, typed, why in REFUSED:
        with pytest.raises(UserError) as caught:
            refuse_fixed(OmegaConf.to_container(run(*began)), run(*began, typed))  # pyright: ignore[reportArgumentType]
        assert f"a run that has trained can't go on with {why}" in str(caught.value) or f"; {why}" in str(caught.value)


@pytest.mark.slow
def test_what_can_still_hold_is_not_refused() -> None:
    for began, typed in APPLIED:
        refuse_fixed(OmegaConf.to_container(run(*began)), run(*began, typed))  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_what_was_refused_is_not_written_down(train: Train, monkeypatch: pytest.MonkeyPatch, images: Path) -> None:
    train(*DESCENT)
    kept, score = configs(Path("run")), results(Path("run"))
    shutil.copytree(images, "others")
    shutil.rmtree("others/test")
    with monkeypatch.context() as patch:
        patch.setattr("project.main.fit", lambda *_: pytest.fail("minutes were spent"))
        for typed, why in {
            "strategy=finetune": "error: a run that has trained can't go on with",
            "backbone.seed=3": "error: the checkpoint's head was trained on other backbone weights",
            "data.root=others": "error: the data is not what the run began with",
        }.items():
            with pytest.raises(SystemExit, match=f"^{why}"):
                go_on(patch, "resume=run", typed)
    assert (configs(Path("run")), results(Path("run"))) == (kept, score)


@pytest.mark.slow
def test_jobs_that_have_ended_stay(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("-m", "hydra.sweep.dir=sweep", "seed=1,2", "solver=adamw", "logger=none")
    first, second = Path("sweep/0"), Path("sweep/1")
    kept, said = configs(first), (first / "results.json").read_bytes()
    (second / "results.json").unlink()
    go_on(monkeypatch, "-m", "resume=sweep", "seed=1,2")
    (second / "results.json").unlink()
    with pytest.raises(SystemExit, match="1 of 2 jobs failed"):  # what has ended was trained with another rate
        go_on(monkeypatch, "-m", "resume=sweep", "model.lr=0.1", "trainer.max_epochs=3")
    assert (configs(first), (first / "results.json").read_bytes()) == (kept, said)
    assert "model.lr=0.1" in results(second)["command"]
    assert load("sweep/1/checkpoints/last.ckpt")["lr_schedulers"][0]["base_lrs"] == [0.1]


def test_evaluate_refuses_what_it_does_not_look_at() -> None:
    refuse_untested(["data", "data.root", "trainer", "trainer.precision", "features.cache", "data_dir"])
    for key in ("model.lr", "backbone", "head", "strategy", "patience", "trainer.max_epochs", "features.views", "mine"):
        with pytest.raises(UserError, match=f"^{key}=... does nothing here"):
            refuse_untested([key])
