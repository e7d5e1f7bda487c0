from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from runs import composed
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.classification import MulticlassF1Score as F1Score

from headstart.backbone import Backbone
from headstart.machine import quiet
from project import build
from project.backbones.bundled import efficientnet_lite
from project.backbones.torchvision import from_torchvision
from project.data.folder import folder
from project.model import heads
from project.model.classifier import Classifier

CLASSES = tuple("abcdefghij")


@pytest.fixture
def backbone() -> Backbone:
    return from_torchvision("mobilenet_v3_small", weights=None)


@pytest.fixture
def model(backbone: Backbone) -> Classifier:
    return Classifier(backbone, heads.linear, CLASSES)


def some_images(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)


def copies(model: Classifier) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}


@pytest.mark.parametrize("head", [heads.linear, partial(heads.mlp, hidden=16), partial(heads.linear, norm="batch")])
def test_a_fit_leaves_every_bit_of_the_backbone(
    backbone: Backbone, head: Callable, images: Path, tmp_path: Path
) -> None:
    quiet()
    data = folder(images, num_workers=0, batch_size=8, checked_dir=tmp_path / "checked")
    data.setup()
    data.preprocessing = backbone.preprocessing
    model = Classifier(backbone, head, data.classes, lr=0.1)
    before = copies(model)
    head_before = {name: tensor.clone() for name, tensor in model.head.state_dict().items()}
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    trainer.validate(model, datamodule=data, verbose=False)
    trainer.test(model, datamodule=data, verbose=False)
    after = copies(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(name.endswith("running_mean") for name in before)  # buffers were looked at, too
    assert any(not torch.equal(head_before[name], tensor) for name, tensor in model.head.state_dict().items())


def test_eval_mode_survives_train(model: Classifier) -> None:
    model.train()
    assert model.head.training
    assert not any(module.training for module in model.backbone.modules())


def test_no_gradient_and_no_graph(model: Classifier) -> None:
    features = model.train().features(some_images(2))
    assert not features.requires_grad
    assert features.grad_fn is None
    model.backbone.requires_grad_(True)  # whatever somebody does to it
    assert model.features(some_images(2)).grad_fn is None
    model.backbone.requires_grad_(False)
    model(some_images(2)).sum().backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert all(parameter.grad is not None for parameter in model.head.parameters())


def test_the_optimizer_holds_the_head_and_nothing_else(model: Classifier) -> None:
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Optimizer)
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in model.head.parameters()}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_features_do_not_depend_on_batch_mates(model: Classifier, precision: torch.dtype) -> None:
    alone, mates, others = some_images(1, seed=1), some_images(3, seed=2), some_images(3, seed=3)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        first, second = (model.train().features(torch.cat([alone, rest])) for rest in (mates, others))
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])


def test_the_head_keeps_full_precision(model: Classifier) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert model(some_images(2)).dtype == torch.float32


def test_uint8_images_are_normalised_in_the_model() -> None:
    model = Classifier(efficientnet_lite(), heads.linear, CLASSES)
    images = some_images(2)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.preprocessing.mean, model.preprocessing.std))
    with torch.no_grad():
        wanted = model.backbone((images / 255 - mean) / std)
    assert torch.allclose(model.features(images), wanted, atol=1e-3)


@pytest.mark.parametrize(("key", "value"), [("lr", "abc"), ("lr", -1), ("weight_decay", -1)])
def test_values_that_no_optimizer_can_use_are_named(backbone: Backbone, key: str, value: object) -> None:
    model = Classifier(backbone, heads.linear, CLASSES, **{key: value})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=f"model.{key}={value}"):
        model.configure_optimizers()


@pytest.mark.parametrize(
    ("monitor", "larger_is_better"),
    [("val/loss", False), ("val/accuracy", MulticlassAccuracy.higher_is_better), ("val/f1", F1Score.higher_is_better)],
)
def test_a_scheduler_that_reacts_follows_the_monitor_and_what_is_best_of_it(
    backbone: Backbone, monitor: str, larger_is_better: bool
) -> None:
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    configured: Any = Classifier(backbone, heads.linear, CLASSES, scheduler=plateau, monitor=monitor)
    configured.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    configured = configured.configure_optimizers()
    assert configured["lr_scheduler"]["monitor"] == monitor
    assert configured["lr_scheduler"]["scheduler"].mode == ("max" if larger_is_better else "min")
    cyclic = partial(torch.optim.lr_scheduler.CyclicLR, base_lr=0.1, max_lr=1, cycle_momentum=False)
    configured = Classifier(backbone, heads.linear, CLASSES, scheduler=cyclic, monitor=monitor).configure_optimizers()
    assert configured["lr_scheduler"]["scheduler"].mode == "triangular"


@pytest.mark.parametrize("target", ["EarlyStopping", "ModelCheckpoint"])
def test_ones_own_callback_takes_the_best_of_its_metric(target: str) -> None:
    own = f"{{_target_: lightning.pytorch.callbacks.{target}, monitor: val/accuracy}}"
    (callback,) = build.callbacks(composed("callbacks=none", f"+callbacks.own={own}"))
    assert callback.mode == "max"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_misspelt_norm_is_named(backbone: Backbone) -> None:
    with pytest.raises(ValueError, match=r"head.norm=group: choose none, layer or batch"):
        Classifier(backbone, partial(heads.linear, norm="group"), CLASSES)


def test_class_weights_weigh_the_training_loss_alone_and_are_in_the_checkpoint(backbone: Backbone) -> None:
    model = Classifier(backbone, heads.linear, ("a", "b"), class_weights=[1.5, 0.5])
    model.head = torch.nn.Identity()
    logits, labels = torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1])
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    plain = Classifier(backbone, heads.linear, ("a", "b"))
    plain.head = torch.nn.Identity()
    weighted, usual = (one.training_step((logits, labels), 0) for one in (model, plain))
    assert weighted
    assert usual
    assert torch.isclose(weighted["loss"] / usual["loss"], (1.5 * losses[0] + 0.5 * losses[1]) / losses.sum())
    assert model.hparams["class_weights"] == [1.5, 0.5]
    assert "class_weights" not in model.state_dict()  # as in every checkpoint of before
