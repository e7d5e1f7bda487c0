"""Mistakes that people make: one or two clear lines, an exit code that isn't 0, and no traceback."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from hydra.utils import execution_whitelist, instantiate
from omegaconf import DictConfig, OmegaConf
from runs import HEAVY, ROOT, Train, composed

from headstart.errors import UserError, explain
from headstart.kinds import check_parts
from headstart.resume.command_line import check
from project import TRUSTED

EACH = """
import runpy, sys
for command in {commands!r}:
    multirun = [one for one in command if one == "-m"]
    sys.argv = ["train.py", *multirun, "data=folder", "data.root=x", *(one for one in command if one != "-m")]
    try:
        runpy.run_path({script!r}, run_name="__main__")
    except SystemExit as stop:
        lines = str(stop.code).splitlines()
        print(lines[0][:7] + str(sorted(set(sys.modules) & {heavy!r})), len(lines))
"""

# In what is typed, or where it is typed: nothing heavy is needed to see it.
TYPED = [
    (["backbone=nosuch"], "there is no backbone=nosuch; there are"),
    (["backbone=resnet5"], "did you mean resnet50?"),
    (["model=linear"], "model=linear: model has no value but keys of its own, such as model.lr"),
    (["heda=mlp"], "there is no heda in the config; did you mean head?"),
    (["model.lrr=1"], "there is no model.lrr in the config; did you mean model.lr?"),
    (["solver=lbfgs", "model.lr=1"], "there is no model.lr with these choices; it comes with solver=adamw"),
    (["features.cache=maybe"], "features.cache=maybe: choose auto, true or false"),
    (["features.cache=true", "augment=light"], "try augment=none features.views=4"),
    (["data.augment=true"], "did you mean augment? its choices are flip, light, none"),
    (["augment=true"], "a choice is a name, as in augment=light"),
    (["augment.mixup=0.2", "solver=lbfgs"], "augment.mixup and augment.cutmix are for gradient descent"),
    (["features.views=0"], "features.views=0 must be a whole number from 1 up"),
    (["features.verify=hope"], "features.verify=hope: choose stat or content"),
    (["data.batchsize=8"], "did you mean data.batch_size?"),
    (["data.root=???"], "data.root has no value: add data.root=..."),
    (["model.lr=abc"], "model.lr=abc must be a number"),
    (["data.batch_size=0"], "data.batch_size=0 must be a whole number"),
    (["data.balance=yes"], "data.balance=yes: choose none, sampler or weights"),
    (["data.balance=sampler"], "solver=lbfgs takes all images at once: data.balance=weights suits it"),
    (["trainer.max_epochs"], "missing EQUAL"),
    (["trainer.max_epochs=1.5"], "trainer.max_epochs=1.5 must be a whole number"),
    (["trainer.max_epochs=[1"], "trainer.max_epochs=[1"),
    (["resume=logs/runs/nowhere"], "logs/runs/nowhere is not the folder of a run"),
    (["resume=~/no where=1"], f"{Path.home()}/no where=1 is not the folder of a run"),
    (["resume=latest"], "resume=latest: there is nothing in logs/runs yet"),
    (["-m", "resume=logs/sweeps/nowhere"], "logs/sweeps/nowhere is not the folder of a sweep"),
    (["callbacks.last_checkpoint.keep=0"], "callbacks.last_checkpoint.keep=0 must be a whole number from 1 up"),
    (["-m", "head=linear,nosuch"], "there is no head=nosuch; there are linear, mlp"),
    (["seed=null"], "seed=null must be a whole number from 0 to 4294967295"),
    (["seed=-1"], "seed=-1 must be"),
    (["seed=abc"], "seed=abc must be"),
    (["seed=1.5"], "seed=1.5 must be"),
    (["seed=99999999999"], "seed=99999999999 must be"),
    (["data.seed=-1"], "data.seed=-1 must be"),
    (["strategy=frozen", "backbone.freeze=none"], "backbone.freeze=none does nothing here, as strategy=frozen"),
    (["backbone.seed=3"], "backbone.seed=3 does nothing here, as it draws random weights"),
    (["features.batch_size=8"], "as solver=lbfgs takes all images at once: leave it out"),
    (["strategy=finetune", "features.views=4"], "features.views=4 does nothing here, as every epoch"),
    (["features.cache=false", "features.dir=x"], "features.dir=x does nothing here, as every epoch"),
    (["data.folds=5", "data.fold=0", "data.val_fraction=0.3"], "as data.folds says what is validated on"),
    (["callbacks=none", "patience=9"], "patience=9 does nothing here, as no callback looks at it"),
    (["model.strategy.decay=0.5"], "there is no model.strategy.decay with these choices; it comes with strategy="),
    (["trainer.max_steps=3"], "what a Trainer, logger, callback or _target_ takes beyond, +trainer.max_steps=... adds"),
    (["data=folder", "data.root=${oc.env:NO_SUCH}"], "data.root takes the environment's NO_SUCH, which isn't set"),
    (["+trainer.max_epoch=3"], "lightning.Trainer doesn't take it; did you mean max_epochs?"),
    (["+trainer.gradient_clip_val=abc"], "trainer.gradient_clip_val=abc must be a whole number or a number"),
    (["+data.batchsize=8"], "project.data.folder.folder doesn't take it; did you mean batch_size?"),
    (["solver=adamw", "+model.optimizer.beta=1"], "torch.optim.AdamW doesn't take it; did you mean betas?"),
    (["strategy=finetune", "+model.strategy.decey=1"], "did you mean decay?"),
    (["+augment.flipp=true"], "there is no augment.flipp"),
    (["logger=csv", "+logger.csv.flush_every=1"], "did you mean flush_logs_every_n_steps?"),
    (["+callbacks.early_stopping.patiense=3"], "did you mean patience?"),
    (["+callbacks.early_stoping.patience=3"], "did you mean early_stopping?"),
    (["patience=soon"], "patience=soon must be a whole number"),
    (["+features.view=4"], "there is no features.view: did you mean features.views?"),
    (["+sede=1"], "there is no sede: did you mean seed?"),
    (["data.root=/nowhere"], "there is no folder /nowhere (data.root)"),
    (["data.root=no where (1), ä=[x]"], "there is no folder no where (1), ä=[x] (data.root)"),
    (["data=csv", "data.path=no.csv"], "there is no file no.csv (data.path)"),
    (["solver=adamw", "norm=batch", "features.batch_size=1"], "raise features.batch_size, or take norm=layer"),
    (["strategy=finetune", "norm=batch", "data.batch_size=1"], "raise data.batch_size, or take norm=layer"),
    (["model.optimizer._target_=torch.optim.Adamx"], "(model.optimizer._target_): did you mean Adamax"),
    (["head._target_=os.system"], "head._target_=os.system isn't trusted"),
    (["+logger.x._target_=lightning.pytorch.loggers.CSVLoger"], "did you mean CSVLogger?"),
    (["augment=trivial", "augment.policy._target_=torchvision.transforms.v2.Trivial"], "there is no torchvision.trans"),
    (["model.scheduler._target_=torch.optim.lr_scheduler.StepLR"], "'~model.scheduler.warmup' leaves it out"),
    (["head=mlp", "head._target_=project.model.heads.linear"], "'~head.hidden' leaves it out"),
    (["model.scheduler.patience=1"], "+model.scheduler.patience=... adds"),
    (["trainer.precision=bf16mixed"], "did you mean bf16-mixed? choose auto, bf16-mixed, 16-mixed or 32-true"),
    (["backbone.weights=/no.pt"], "there is no weights file /no.pt (backbone.weights)"),
    (["backbone=timm", "backbone.name=resnet18", "backbone.weights=no.bin"], "no.bin (backbone.weights)"),
    (["backbone=torchvision", "backbone.name=resnet18", "backbone.weights=epoch=3.ckpt"], "epoch=3.ckpt"),
    (["+trainer.barebones=true"], "+trainer.barebones=true leaves no metrics and no checkpoints"),
    (["data.folds=5"], "data.fold=None must be one of data.folds=5"),
    (["data.folds=5", "data.fold=5"], "data.fold=5 must be one of data.folds=5"),
    (["data.folds=1", "data.fold=0"], "data.folds=1 must be a whole number from 2 up"),
    (["data.fold=1"], "data.fold=1 is one of how many?"),
    (["data.test_fraction=1.5"], "data.test_fraction=1.5: give fractions"),
    (["data.group=("], "data.group='(' is no regular expression"),
    (["augment.policy=trivial"], "augment.policy=trivial: choose augment=randaugment or augment=trivial"),
    (["augment.scale=[0.9,0.5]"], "augment.scale=[0.9, 0.5]: give two fractions"),
    (["augment.mixup=-1"], "augment.mixup=-1 must be a number from 0 up"),
    (["logger=wandb", "+logger.wandb.tag=[a]"], "there is no logger.wandb.tag; did you mean tags?"),
    (["logger=wandb", "+logger.wandb.tags=a"], "logger.wandb.tags=a: give a list, [a]"),
    (["logger=wandb", "+logger.wandb.mode=offlin"], "logger.wandb.mode=offlin: choose online, offline or disabled"),
    (["+logger=wandb"], "type logger=wandb, without the '+', to have it in its place, or logger=[OTHER,wandb]"),
    (["++logger=csv"], "type logger=csv, without the '+'"),
    (["+head=mlp"], "head has a choice: type head=mlp, without the '+', to have it in its place"),
    (["+experiment=random_weights"], "type experiment=random_weights, without the '+'"),
    (["logger=[csv,tensorbord]"], "there is no logger=tensorbord; did you mean tensorboard?"),
    (["--config-name=trian"], "there is no --config-name=trian; did you mean train?"),
    (["+logger.tensorboard.flush_secs=abc"], "logger.tensorboard.flush_secs=abc must be a whole number"),
    (["+logger.tensorboard.max_queue=many"], "logger.tensorboard.max_queue=many must be a whole number"),
    (["+logger.tensorboard.flush=1"], "did you mean flush_secs?"),
    (["logger=wandb", "WANDB_MODE=onlne"], "WANDB_MODE=onlne: choose online, offline or disabled"),
    (["logger=wandb", "WANDB_BASE_URL=nowhere"], "WANDB_BASE_URL=nowhere is no address of a server"),
    (["logger=wandb", "WANDB_API_KEY=secret"], "WANDB_API_KEY has 6 characters, and a key at least 40"),
]  # fmt: skip
# Keys that are given a value in a config that is composed once.
VALUES = [
    (["data.num_workers=many"], "data.num_workers=many must be auto or a whole number"),
    (["norm=foo"], "norm=foo: choose none, layer or batch"),
    (["model.optimizer._target_=torchh.optim.Adam"], "no package torchh is installed"),
    (["model.optimizer._target_=torch.optimm.Adam"], "isn't trusted: did you mean torch.optim?"),
    (["model.optimizer._target_=null"], "must be the name of a function or class"),
    (["model.scheduler._target_=torch.optim.lr_scheduler.StepLr"], "did you mean StepLR?"),
    (["head._target_=project.model.heads.linar"], "did you mean linear?"),
    (["head._target_=torch.nn.Liner"], "did you mean Linear?"),
    (["callbacks.x._target_=lightning.pytorch.callbacks.EarlyStoping"], "did you mean EarlyStopping?"),
    (["data._target_=project.data.folder.foldr"], "did you mean folder?"),
    (["trainer.precision=8"], "choose auto, bf16-mixed, 16-mixed or 32-true"),
    *(([f"trainer.precision={one}"], "the head and the loss, which keep 32 bits: choose auto") for one in (
        "transformer-engine", "transformer-engine-float16", "16-true", "bf16-true", "64-true", "64",
    )),
    (["trainer.accelerator=cpu", "trainer.precision=16-mixed"], "16-mixed is for a GPU, and slow on a CPU"),
    (["trainer.accelerator=cpu", "trainer.precision=16"], "16-mixed is for a GPU, and slow on a CPU"),
    (["trainer.accelerator=tpu"], "choose auto, cpu, gpu, cuda or mps"),
    (["trainer.deterministic=maybe"], "choose auto, true, false or warn"),
    (["trainer.profiler=foo"], "choose simple, advanced, pytorch or null"),
    (["trainer.gradient_clip_val=-1"], "must be a number from 0.0 up"),
    (["trainer.gradient_clip_val=1"], "solver=lbfgs has none: add solver=adamw"),
    (["trainer.accumulate_grad_batches=0"], "must be a number from 1 up"),
    (["trainer.val_check_interval=2.0"], "give a fraction up to 1.0"),
    (["trainer.limit_train_batches=1.5"], "give a fraction up to 1.0"),
    (["trainer.limit_val_batches=-1"], "or a whole number of batches from 0 up"),
    (["trainer.logger=false"], "trainer.logger is set by the run"),
    *(([f"callbacks.x._target_=lightning.pytorch.callbacks.{one}"], f"callbacks.x: {one} doesn't go") for one in (
        "BackboneFinetuning", "StochasticWeightAveraging", "BatchSizeFinder", "LearningRateFinder", "ModelPruning",
        "EMAWeightAveraging", "GradientAccumulationScheduler",
    )),
]  # fmt: skip
MISTAKES = [
    *TYPED,
    (["head=mlp", "solver=lbfgs"], "solver=lbfgs is for head=linear: add solver=adamw"),
    (["model.strongest=0"], "model.strongest=0 model.weakest=1e-05"),
    (["monitor=val/acc"], "monitor=val/acc: choose one of"),
    (["best.metric=val/losses"], "best.metric=val/losses: choose one of"),
    (
        ["monitor=val/accuracy", "mode=min"],
        "mode=min: the best val/accuracy is the max, and needn't",
    ),
    (["callbacks.early_stopping.monitor=val/f1", "+callbacks.early_stopping.mode=min"], "the best val/f1 is the max"),
    (["+callbacks.model_checkpoint.save_last=true"], "last.ckpt is written by callbacks.last_checkpoint already"),
    (["+callbacks.model_checkpoint.every_n_train_steps=2"], "between validations there is no score"),
    (["trainer=gpu"], "there is no GPU"),
    (["trainer.devices=0"], "`Trainer(devices=0)` value is not a valid input"),
    (["+trainer.strategy=fsdp"], "trainer: The strategy `fsdp` requires a GPU"),
    (["+trainer.strategy=ddpp"], "trainer: You selected an invalid strategy name"),
    (["+trainer.max_time=abc"], "`Timer(duration='abc')` is not a valid duration"),
    (["trainer.max_epochs=-5"], "`max_epochs` must be a non-negative integer or -1"),
    (["trainer.precision=16-mixed"], "trainer.precision=16-mixed is for a GPU"),
    (
        ["callbacks.early_stopping.monitor=val_loss"],
        "callbacks.early_stopping.monitor=val_loss: choose one of val/loss",
    ),
    (["backbone=torchvision", "backbone.name=resnet19"], "resnet18"),
    (["backbone=torchvision", "backbone.name=resnet18", "backbone.weights=IMAGENET"], "IMAGENET1K_V1"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_is_told_in_one_line(
    train: Train,
    arguments: list[str],
    message: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (one.split("=") for one in arguments if one.startswith("WANDB")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        train(*(one for one in arguments if not one.startswith("WANDB")), tiny=False)
    assert str(caught.value).startswith("error: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not capfd.readouterr().err  # Hydra's own lines, a traceback


@pytest.mark.parametrize(("arguments", "message"), VALUES, ids=[m[0][-1] for m in VALUES])
def test_a_value_that_cannot_work_is_named_by_its_key(arguments: list[str], message: str) -> None:
    cfg = base().copy()
    for key, value in (argument.split("=", 1) for argument in arguments):
        OmegaConf.update(cfg, key, yaml.safe_load(value), force_add=True)
    with pytest.raises(UserError, match=re.escape(message)):
        check(cfg, TRUSTED)


@cache
def base(logger: str = "none") -> DictConfig:
    return composed("data=folder", f"logger={logger}")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("tensorboard.version=1.5", "whole number or text or null"),
        ("tensorboard.max_queue=0", "whole number from 1 up"),
        ("csv.flush_logs_every_n_steps=0", "whole number from 1 up"),
        ("csv.prefix=5", "text"),
        ("wandb.save_code=maybe", "true or false or null"),
        ("wandb.resume=perhaps", "allow or never or must or auto"),
        ("wandb.notes=5", "text or null"),
        ("wandb.log_model=maybe", "all or true or false"),
        ("wandb.offline=perhaps", "true or false"),
    ],
)
def test_a_wrong_value_of_a_loggers_option_is_named_by_its_key(argument: str, message: str) -> None:
    cfg, (key, value) = base("[csv,tensorboard,wandb]").copy(), argument.split("=")
    right = {"wandb": {"tags": ["a"], "log_model": "all", "resume": "allow", "mode": "dryrun"}, "csv": {"prefix": "x"}}
    for name, options in right.items():
        OmegaConf.update(cfg.logger, name, options, force_add=True)
    check(cfg, TRUSTED)
    OmegaConf.update(cfg.logger, key, yaml.safe_load(value), force_add=True)
    with pytest.raises(UserError, match=rf"^logger\.{argument} .*{message}"):
        check(cfg, TRUSTED)


@pytest.mark.slow
def test_nothing_heavy_is_loaded_for_what_is_wrong_in_the_config_alone(workdir: Path) -> None:
    """All in one process: what one mistake had loaded would be there at the next."""
    commands = [[one for one in arguments if not one.startswith("WANDB")] for arguments, _ in TYPED]
    commands = [command for command, (whole, _) in zip(commands, TYPED, strict=True) if command == whole]
    program = EACH.format(commands=commands, heavy=HEAVY, script=str(ROOT / "train.py"))
    done = subprocess.run([sys.executable, "-c", program], cwd=workdir, capture_output=True, text=True, check=True)
    said = [line for line in done.stdout.splitlines() if "is another one's" not in line]  # they begin in one second
    assert said == ["error: [] 1"] * len(commands)
    assert len(commands) > 30


# What the objects themselves say, when they are made or trained.
DESCENT, SCHEDULER, NO_WARMUP = ["solver=adamw", "~head.norm"], "model.scheduler._target_=", "~model.scheduler.warmup"
WHILE_BUILDING = [
    (["+callbacks.x._target_=torch.nn.ReLU"], "callbacks.x._target_ makes ReLU, and lightning.pytorch.callbacks."),
    (["data._target_=torch.nn.Identity"], "data._target_ makes Identity, and lightning.pytorch.core.datamodule."),
    ([*DESCENT, "head._target_=torch.optim.SGD"], "head._target_ makes SGD, and torch.nn.modules.module.Module is"),
    ([*DESCENT, "head._target_=torch.nn.ReLU"], "head._target_ isn't given what it takes: ReLU.__init__() takes"),
    ([*DESCENT, "head._target_=torch.nn.Identity"], "turns features (2, 1024) into (2, 1024), and logits (2, 10) are"),
    ([*DESCENT, "head._target_=torch.nn.LSTM"], "LSTM, which turns features (2, 1024) into a tuple, and logits"),
    (["model.optimizer._target_=torch.nn.Identity"], "model.optimizer._target_ makes Identity, and torch.optim."),
    ([SCHEDULER + "torch.optim.SGD", NO_WARMUP], "model.scheduler._target_ makes SGD, and torch.optim.lr_scheduler."),
    ([SCHEDULER + "torch.nn.ReLU", NO_WARMUP], "model.scheduler._target_ makes ReLU, and torch.optim.lr_scheduler."),
    (["+callbacks.x._target_=lightning.pytorch.callbacks.ThroughputMonitor"], "missing 1 required positional argument"),
    (
        [SCHEDULER + "torch.optim.lr_scheduler.StepLR", NO_WARMUP],
        "model.scheduler._target_ isn't given what it takes: StepLR.__init__() missing",
    ),
    (
        ["solver=adamw", "+trainer.val_check_interval=5"],
        "+trainer.val_check_interval=5 is more than the 1 batches of an epoch",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WHILE_BUILDING, ids=[" ".join(m[0]) for m in WHILE_BUILDING])
def test_what_is_found_out_while_building_is_a_line_too(train: Train, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as caught:
        train("logger=none", *arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_class_folders_is_refused_before_torch_is_loaded(train: Train, images: Path) -> None:
    with pytest.raises(SystemExit, match=r"no images in .* \(data\.root\): one folder per class is expected"):
        train(f"data.root={images}/train/red")


def test_class_folders_without_a_file_are_refused_before_torch_is_loaded(train: Train, tmp_path: Path) -> None:
    for name in ("cat", "dog/deeper"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        (tmp_path / "classes" / name / ".DS_Store").touch()
    (tmp_path / "classes" / "readme.txt").touch()
    with pytest.raises(SystemExit, match="per class is expected, and there is no file in them"):
        train("data.root=classes")
    (tmp_path / "classes" / "dog" / "notes.txt").touch()
    with pytest.raises(SystemExit, match=r"with files that Pillow reads; there are .*txt"):
        train("data.root=classes")


class Broken(torch.nn.Module):
    """An owner's head, with a bug in what it is made by, or called by."""

    def __init__(self, num_features: int, num_classes: int, when: str) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(num_features, str(num_classes) if when == "made" else num_classes)  # pyright: ignore

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layer(features, 1)


@pytest.mark.parametrize("when", ["made", "called"])
def test_a_bug_in_ones_own_head_keeps_its_traceback(when: str) -> None:
    with execution_whitelist((*TRUSTED, f"{__name__}.*")):
        head = instantiate({"_target_": f"{__name__}.Broken", "_partial_": True, "when": when})
    with pytest.raises(TypeError) as caught:
        check_parts(SimpleNamespace(head=head(4, 2), classes=("cat", "dog")), 4)
    assert explain(caught.value) is None


def test_batchnorm_and_a_batch_of_one_are_told_in_one_line() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value") as caught:
        torch.nn.BatchNorm1d(3)(torch.zeros(1, 3))
    assert "raise data.batch_size" in (explain(caught.value) or "")


def test_a_broken_image_is_named_before_training(train: Train, tmp_path: Path, images: Path) -> None:
    for path in images.glob("*/*/*.jpg"):
        copy = tmp_path / "copy" / path.relative_to(images)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    broken = next((tmp_path / "copy" / "test").glob("*/*.jpg"))
    broken.write_bytes(broken.read_bytes()[:500])
    with pytest.raises(SystemExit, match=f"{broken.name} can't be decoded"):
        train("data.root=copy")
    assert not list(tmp_path.glob("logs/**/metrics.csv"))


@pytest.mark.slow
def test_the_command_line_itself(cli) -> None:
    done = cli("train.py", "data=folder", "data.root=/nowhere")
    assert done.returncode == 1
    assert "error: there is no folder /nowhere (data.root)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr + done.stdout


def test_a_bug_keeps_its_traceback(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.main.fit", lambda *_: [].index(1))
    with pytest.raises(ValueError, match="is not in list"):
        train()


def test_the_full_traceback_is_there_for_those_who_ask(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="there is no folder"):
        train("data.root=/nowhere")


@pytest.mark.slow
def test_misspelt_scripts(cli) -> None:
    for arguments, message in ([], "which run?"), (["logs/nowhere"], "is not the folder of a run"):
        done = cli("scripts/evaluate.py", *arguments)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", sorted(path.stem for path in (ROOT / "scripts").glob("*.py")))
def test_every_script_says_what_it_does_without_doing_it(script: str, cli) -> None:
    done = cli(f"scripts/{script}.py", "--help")
    assert done.returncode == 0, done.stderr
    assert f"scripts/{script}.py" in done.stdout or f"usage: {script}.py" in done.stdout


def test_a_job_has_none_of_hydras_settings(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    seen: list[str | None] = []
    monkeypatch.setattr("project.main.train", lambda _: seen.append(os.environ.get("HYDRA_FULL_ERROR")))
    train()
    assert seen == [None]
