import pickle
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from omegaconf import ListConfig
from runs import Train

from headstart.errors import UserError
from headstart.resume.checkpoints import refuse_what_cant_be_loaded
from headstart.specs import to_spec
from project import TRUSTED
from project.backbones.torchvision import from_torchvision
from project.model import heads
from project.model.classifier import Classifier

CLASSES = ("cat", "dog", "eel")


@pytest.fixture
def model() -> Classifier:
    torch.manual_seed(1)
    head = partial(heads.mlp, hidden=8, dropout=0.1)
    scheduler = partial(torch.optim.lr_scheduler.StepLR, step_size=3)
    backbone = from_torchvision("mobilenet_v3_small", weights=None, seed=7)
    return Classifier(
        backbone, head, CLASSES, lr=0.5, label_smoothing=0.1, optimizer=torch.optim.SGD, scheduler=scheduler
    )


@pytest.fixture
def path(model: Classifier, tmp_path: Path) -> Path:
    trainer = Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    return tmp_path / "model.ckpt"


def edit(path: Path, **changes: object) -> None:
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"] |= changes
    torch.save(checkpoint, path)


def test_the_path_alone_brings_the_model_back(model: Classifier, path: Path) -> None:
    loaded = Classifier.load_from_checkpoint(path)
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(loaded(images), model.eval()(images))
    assert loaded.classes == CLASSES
    assert loaded.preprocessing == model.preprocessing
    assert (loaded.lr, loaded.label_smoothing) == (0.5, 0.1)
    assert loaded.hparams == model.hparams
    assert not loaded.training
    optimizer = loaded.configure_optimizers()["optimizer"]  # pyright: ignore
    assert isinstance(optimizer, torch.optim.SGD)


def test_the_backbone_is_named_not_stored(model: Classifier, path: Path) -> None:
    checkpoint = torch.load(path, weights_only=True)
    assert sorted(checkpoint["state_dict"]) == sorted(f"head.{name}" for name in model.head.state_dict())
    assert checkpoint["hyper_parameters"]["digest"] == model.pretrained.digest
    assert path.stat().st_size < 100_000


def test_other_backbone_weights_are_an_error(path: Path) -> None:
    spec = torch.load(path, weights_only=True)["hyper_parameters"]["backbone"]
    edit(path, backbone=spec | {"seed": 8})
    with pytest.raises(ValueError, match="was trained on other backbone weights"):
        Classifier.load_from_checkpoint(path)


@pytest.mark.parametrize("links", [("model", "other"), ("model",)])
def test_checkpoints_that_lead_back_to_themselves_are_refused(path: Path, links: tuple[str, ...]) -> None:
    spec = torch.load(path, weights_only=True)["hyper_parameters"]["backbone"]
    files = [path.with_stem(name) for name in links]
    for file, named in zip(files, [*files[1:], path], strict=True):
        if file != path:
            shutil.copy(path, file)
        edit(file, backbone=spec | {"weights": str(named)})
    with pytest.raises(UserError, match="leads back to itself: take another"):
        Classifier.load_from_checkpoint(path)
    with pytest.raises(UserError, match="leads back to itself: take another"):
        from_torchvision("mobilenet_v3_small", weights=str(path))


def test_a_checkpoint_of_another_version_is_told_in_one_line(path: Path) -> None:
    edit(path, format=1)
    with pytest.raises(UserError, match="is of another version of headstart, whose checkpoints can't be loaded: train"):
        Classifier.load_from_checkpoint(path)


def test_a_head_that_lacks_a_weight_is_an_error(path: Path) -> None:
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["state_dict"]["head.4.bias"]
    torch.save(checkpoint, path)
    with pytest.raises(RuntimeError, match=r"head\.4\.bias"):
        Classifier.load_from_checkpoint(path)


@pytest.mark.parametrize(
    ("part", "target"),
    [
        ("head", "os.system"),
        ("head", "builtins.eval"),
        ("head", "torch.os.system"),
        ("head", "torch.load"),
        ("head", "torch.nn.modules.module.torch.load"),
        ("head", "torch.nn.parallel.distributed.os.system"),
        ("head", "torch.nn.functional.importlib"),
        ("head", "project.nothing"),
        ("head", "project.reporting.results.subprocess.run"),
        ("head", "headstart.specs.from_spec"),
        ("head", "headstart.extras.shards.tar.read_shard"),
        ("head", "lightning.pytorch.cli.instantiate_class"),
        ("head", "linear"),
        ("backbone", "torch.hub.load"),
        ("backbone", "project.model.heads.linear"),
        ("backbone", "project.backbones.torchvision.weights_path"),
        ("backbone", "headstart.extras.huggingface.backbone.Path"),
        ("backbone", "headstart.weights.urlparse"),
    ],
)
def test_a_strangers_checkpoint_chooses_among_our_parts_only(path: Path, part: str, target: str) -> None:
    edit(path, **{part: {"_target_": target}})
    with pytest.raises(ValueError, match=f"a checkpoint asks for {target}, which isn't in"):
        Classifier.load_from_checkpoint(path)


@pytest.mark.parametrize("part", ["optimizer", "scheduler"])
def test_what_only_training_needs_is_followed_only_then(path: Path, part: str) -> None:
    edit(path, **{part: {"_target_": "torch.load"}})
    loaded = Classifier.load_from_checkpoint(path)
    assert loaded(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape == (1, 3)
    assert loaded.hparams[part] == {"_target_": "torch.load"}
    with pytest.raises(ValueError, match=r"a checkpoint asks for torch\.load"):
        loaded.configure_optimizers()


def test_a_librarys_layer_is_a_head_too(path: Path) -> None:
    network = Classifier(
        from_torchvision("mobilenet_v3_small", weights=None, seed=7), partial(torch.nn.Linear, bias=False), CLASSES
    )
    checkpoint = torch.load(path, weights_only=True)
    kept = {name: value for name, value in network.state_dict().items() if name.startswith("head.")}
    torch.save(checkpoint | {"hyper_parameters": dict(network.hparams), "state_dict": kept}, path)
    assert isinstance(Classifier.load_from_checkpoint(path).head, torch.nn.Linear)


class Exploit:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, save) -> None:
    save({"hyper_parameters": Exploit(tmp_path / "owned")}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"evil\.ckpt can't be read"):
        Classifier.load_from_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "half"])
def test_damaged_files_are_named_in_one_line(path: Path, content: bytes | str) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else bytes(content))  # pyright: ignore
    with pytest.raises(ValueError, match=r"model\.ckpt can't be read") as caught:
        Classifier.load_from_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_foreign_checkpoint_is_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match="not a checkpoint of a headstart classifier"):
        Classifier.load_from_checkpoint(tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match="there is no checkpoint"):
        Classifier.load_from_checkpoint(tmp_path / "nowhere.ckpt")


class Own(torch.optim.SGD):
    """An optimizer of a package that isn't trusted."""


AdamW: Any = torch.optim.AdamW
StepLR: Any = torch.optim.lr_scheduler.StepLR
linear: Any = heads.linear
HELD = {  # what a model was made of, and what torch couldn't load again, or TRUSTED doesn't name
    "tuple": ({"optimizer": partial(AdamW, betas=(0.9, 0.98))}, None),
    "lists": (
        {
            "optimizer": partial(AdamW, betas=[0.9, 0.98]),
            "scheduler": partial(torch.optim.lr_scheduler.MultiStepLR, milestones=[1, 2]),
        },
        None,
    ),
    "mapping": ({"head": partial(linear, norm={"layer": [1]})}, None),
    "config": (
        {"optimizer": partial(AdamW, betas=ListConfig([0.9, 0.98]))},
        "its optimizer holds omegaconf.listconfig",
    ),
    "module": ({"head": partial(linear, norm=torch.nn.ReLU())}, r"its head holds torch\.nn\.modules"),
    "function": (
        {"scheduler": partial(StepLR, step_size=partial(round, 2.5))},
        "its scheduler holds functools.partial",
    ),
    "lambda": ({"scheduler": partial(StepLR, step_size=lambda epoch: epoch)}, "its scheduler holds .*lambda"),
    "stranger": ({"optimizer": Own}, r"Own \(optimizer\) isn't in TRUSTED \(src/project/__init__\.py\)"),
    "builtin": ({"head": dict}, r"builtins\.dict \(head\) isn't in TRUSTED"),
}


@pytest.mark.parametrize("name", HELD)
def test_what_no_checkpoint_could_be_loaded_with_is_refused_before_training(model: Classifier, name: str) -> None:
    made_of, said = HELD[name]
    described = dict(model.hparams) | {key: to_spec(part) for key, part in made_of.items()}
    with pytest.raises(UserError, match=said) if said else nullcontext():
        refuse_what_cant_be_loaded(described, TRUSTED)


def test_a_list_that_cant_be_saved_costs_no_epoch(train: Train, workdir: Path) -> None:
    with pytest.raises(SystemExit, match="its optimizer holds"):
        train("solver=adamw", "+model.optimizer._convert_=none", "+model.optimizer.betas=[0.9,0.98]")
    assert not list(workdir.glob("logs/**/metrics.csv"))
