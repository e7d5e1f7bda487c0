"""Mistakes that people make: one or two clear lines, an exit code that isn't 0, and no traceback."""

import os
from pathlib import Path

import pytest
from runs import ROOT, Train

MISTAKES = [
    (["data.root=/nowhere"], "there is no folder /nowhere (data.root)"),
    (["backbone=nosuch"], "there is no backbone=nosuch; there are"),
    (["backbone=resnet5"], "did you mean resnet50?"),
    (["heda=mlp"], "there is no heda in the config; did you mean head?"),
    (["model.lrr=1"], "there is no model.lrr in the config; did you mean model.lr?"),
    (["solver=lbfgs", "model.lr=1"], "there is no model.lr with these choices; it comes with solver=adamw"),
    (["head=mlp", "solver=lbfgs"], "solver=lbfgs is for head=linear: add solver=adamw"),
    (["model.strongest=0"], "model.strongest=0 model.weakest=1e-05"),
    (["features.cache=maybe"], "features.cache=maybe: choose auto, true or false"),
    (["features.cache=true", "augment=light"], "try augment=none features.views=4"),
    (["data.augment=true"], "did you mean augment? its choices are flip, light, none"),
    (["augment=true"], "a choice is a name, as in augment=light"),
    (["augment.mixup=0.2", "solver=lbfgs"], "augment.mixup and augment.cutmix are for gradient descent"),
    (["augment.scale=[0.9,0.5]"], "augment.scale=[0.9, 0.5]: give two fractions"),
    (["features.views=0"], "features.views=0 must be a whole number from 1 up"),
    (["features.verify=hope"], "features.verify=hope: choose stat or content"),
    (["data.batchsize=8"], "did you mean data.batch_size?"),
    (["data.root=???"], "data.root has no value: add data.root=..."),
    (["monitor=val/acc"], "monitor=val/acc: choose one of"),
    (["best.metric=val/losses"], "best.metric=val/losses: choose one of"),
    (["monitor=val/loss"], "monitor=val/loss mode=max: its best value is the min, so add mode=min"),
    (["trainer=gpu"], "gpu"),
    (["model.lr=abc"], "model.lr=abc"),
    (["data.batch_size=0"], "data.batch_size=0 must be a whole number"),
    (["data.balance=yes"], "data.balance=yes: choose none or sampler or weights"),
    (["data.balance=sampler"], "solver=lbfgs takes all images at once: data.balance=weights suits it"),
    (["data.folds=5"], "data.fold=None must be one of data.folds=5"),
    (["data.num_workers=many"], "data.num_workers=many must be auto"),
    (["backbone=torchvision", "backbone.name=resnet19"], "resnet18"),
    (["backbone=torchvision", "backbone.name=resnet18", "backbone.weights=IMAGENET"], "IMAGENET1K_V1"),
    (["trainer.max_epochs"], "missing EQUAL"),
    (["resume=logs/runs/nowhere"], "logs/runs/nowhere is not the folder of a run"),
    (["resume=latest"], "resume=latest: there is nothing in logs/runs yet"),
    (["-m", "resume=logs/sweeps/nowhere"], "logs/sweeps/nowhere is not the folder of a sweep"),
    (["callbacks.last_checkpoint.keep=0"], "keep=0 (callbacks.last_checkpoint): give numbers above 0"),
    (["-m", "head=linear,nosuch"], "there is no head=nosuch; there are linear, mlp"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_is_told_in_one_line(
    train: Train, arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        train(*arguments, tiny=False)
    assert str(caught.value).startswith("error: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err


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
    assert len(done.stderr.strip().splitlines()) <= 2
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
