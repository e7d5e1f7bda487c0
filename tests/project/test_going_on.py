"""A run goes on with its own config and its own images, whatever conf/, the data or the environment say by now."""

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from runs import Train, go_on, results

from headstart.errors import UserError
from headstart.images.table import ImageTable, Sample
from headstart.resume.environment import load_env
from headstart.resume.going_on import expand_resume
from headstart.resume.same_data import data_changes, describe_data

RUN = "hydra.run.dir=run"
MLP = "_target_: project.model.heads.mlp\n_partial_: true\nhidden: {hidden}\ndropout: 0.5\nnorm: layer\n"


def config(run_dir: Path) -> dict:
    """The newest config in a run's folder, as PyYAML reads it."""
    path = max(run_dir.glob(".hydra/**/config.yaml"), key=lambda path: path.stat().st_mtime_ns)
    return yaml.safe_load(path.read_text())


@pytest.fixture
def copy(images: Path, workdir: Path) -> Path:
    shutil.copytree(images, workdir / "copy")
    return workdir / "copy"


def rename(root: Path, old: str, new: str) -> None:
    for split in ("train", "val", "test"):
        (root / split / old).rename(root / split / new)


@pytest.mark.slow
@pytest.mark.parametrize("road", ["features.cache=auto", "features.cache=false"])
def test_a_run_goes_on_with_its_own_images_alone(
    train: Train, copy: Path, monkeypatch: pytest.MonkeyPatch, road: str
) -> None:
    train(f"data.root={copy}", RUN, "logger=none", road)
    score = results(Path("run"))["score"]
    rename(copy, "pink", "zebra")
    with pytest.raises(SystemExit, match="the class pink is gone and the class zebra is new"):
        go_on(monkeypatch, "resume=run")
    rename(copy, "zebra", "pink")
    (copy / "train" / "pink" / "new.jpg").write_bytes((copy / "train" / "red" / "0000.jpg").read_bytes())
    with pytest.raises(SystemExit, match="train had 40 files and has 41"):
        go_on(monkeypatch, "resume=run")
    (copy / "train" / "pink" / "new.jpg").unlink()
    copy.rename("moved")
    go_on(monkeypatch, "resume=run", "data.root=moved")
    assert results(Path("run"))["score"] == score


def table(root: Path, train: list[tuple[str, int]], test: list[tuple[str, int]]) -> ImageTable:
    def samples(rows: list[tuple[str, int]]) -> tuple[Sample, ...]:
        return tuple(Sample(str(root / path), label) for path, label in rows)

    return ImageTable(("a", "b"), samples(train), (), samples(test))


def test_what_of_the_data_may_change(tmp_path: Path) -> None:
    for root in ("one", "two"):
        for name in ("a/0.png", "a/1.png", "b/0.png"):
            (tmp_path / root / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / root / name).write_bytes(b"x" * len(name))
    rows = [("a/0.png", 0), ("b/0.png", 1)], [("a/1.png", 0)]
    then = {"hyper_parameters": {"classes": ["a", "b"]}, "data": describe_data(table(tmp_path / "one", *rows))}
    assert data_changes(json.loads(json.dumps(then)), table(tmp_path / "two", *rows)) == []
    swapped = [("a/1.png", 0), ("b/0.png", 1)], [("a/0.png", 0)]
    assert len(data_changes(then, table(tmp_path / "one", *swapped))) == 2
    relabelled = [("a/0.png", 1), ("b/0.png", 0)], [("a/1.png", 0)]
    assert data_changes(then, table(tmp_path / "one", *relabelled))[0].startswith("of the 2 files of train")
    (tmp_path / "one/b/0.png").write_bytes(b"another image")
    assert data_changes(then, table(tmp_path / "one", *rows))[0].startswith("of the 2 files of train")
    then["hyper_parameters"]["classes"] = ["b", "a"]
    assert "in another order" in data_changes(then, table(tmp_path / "two", *rows))[0]
    del then["data"]
    then["hyper_parameters"]["classes"] = ["a", "b"]
    assert data_changes(then, table(tmp_path / "one", *swapped)) == []  # of a checkpoint that doesn't say


@pytest.mark.slow
def test_a_run_goes_on_with_its_own_config(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path("own/head/mine.yaml")
    own.parent.mkdir(parents=True)
    own.write_text(MLP.format(hidden=8))
    train("--config-dir=own", "head=mine", "solver=adamw", RUN, "logger=none")
    command = shlex.split(results(Path("run"))["command"])
    assert command[:3] == ["python", "train.py", f"--config-dir={Path('own').absolute()}"]
    own.write_text(MLP.format(hidden=16))
    go_on(monkeypatch, "resume=run", "trainer.max_epochs=3")
    assert "typed now: trainer.max_epochs=3 (was 2)" in Path("run/train.log").read_text()
    own.unlink()  # renamed, say
    go_on(monkeypatch, "resume=run")
    assert config(Path("run"))["head"]["hidden"] == 8
    weights = torch.load("run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert sorted({len(weight) for weight in weights.values()}) == [8, 10]


@pytest.mark.slow
def test_a_sweep_goes_on_in_the_folders_it_had(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = ["-m", "hydra.sweep.dir=sweep", "hydra.sweep.subdir='${hydra.job.num}_of_mine'", "seed=1,2"]
    train(*sweep, "logger=none")
    config_of = config(Path("sweep/1_of_mine"))
    Path("sweep/1_of_mine/results.json").unlink()
    go_on(monkeypatch, "-m", "resume=sweep")
    assert sorted(path.parent.name for path in Path("sweep").glob("*/results.json")) == ["0_of_mine", "1_of_mine"]
    assert config(Path("sweep/1_of_mine")) == config_of


def test_the_folders_of_a_strangers_sweep_are_not_chosen_by_him(workdir: Path) -> None:
    hydra = {"overrides": {"task": ["seed=1,2"], "hydra": ["hydra.mode=MULTIRUN", "hydra.sweep.subdir=../../x"]}}
    (workdir / "sweep").mkdir()
    for content in ({"hydra": hydra}, {"hydra": {"overrides": {"task": []}, "sweep": {"subdir": "../x"}}}):
        (workdir / "sweep/multirun.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(UserError, match="as a stranger could have written it"):
            expand_resume(["-m", "resume=sweep"])


@pytest.mark.parametrize(
    ("text", "implied"),
    [
        ("model: {lr: 0.5, optimizer: {_target_: torch.optim.SGD, _partial_: true}}", ["solver=adamw"]),
        ("augment: {mixup: 0.2}", ["solver=adamw"]),
        ("backbone: {freeze: until:layer3}", ["strategy=finetune"]),
        ("model: {label_smoothing: 0.1}", []),
        ("defaults: [override /solver: adamw]\nmodel: {lr: 0.5}", []),
        ("defaults: [override /head: mlp]\nmodel: {lr: 0.5}", []),
        ("defaults: [/experiment/base]\n", ["solver=adamw"]),
        ("hydra: {sweeper: {params: {seed: '1,2'}}}", ["-m"]),
        ("defaults: [override /hydra/sweeper: mine]", ["-m"]),
    ],
)
def test_an_experiments_file_is_a_command_line(workdir: Path, text: str, implied: list[str]) -> None:
    for name, content in {
        "experiment/x": text,
        "experiment/base": "model: {weight_decay: 0.5}",
        "hydra/sweeper/mine": "_target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper\nmax_batch_size: 1",
    }.items():
        path = workdir / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(("# @package _global_\n" if "experiment" in name else "") + content + "\n")
    flag = f"--config-dir={workdir / 'own'}"
    found = expand_resume([flag, "experiment=x"])
    assert sorted(set(found) - {flag, "experiment=x"}) == implied
    assert expand_resume([flag, "experiment=x", "--cfg", "job"])[0] != "-m"


def test_what_an_experiment_can_not_have_at_once_is_refused(train: Train, workdir: Path) -> None:
    (workdir / "own/experiment").mkdir(parents=True)
    for name, text in {"a": "model: {lr: 0.5}", "b": "seed: 3"}.items():
        (workdir / f"own/experiment/{name}.yaml").write_text(f"# @package _global_\n{text}\n")
    with pytest.raises(SystemExit, match=r"^error: model\.lr is for gradient descent, and solver=lbfgs has none"):
        train("--config-dir=own", "experiment=a", "solver=lbfgs")
    with pytest.raises(SystemExit, match=r"^error: experiment=b implies nothing, and another job solver=adamw"):
        train("-m", "--config-dir=own", "experiment=a,b")


@pytest.mark.slow
def test_the_environments_values_stay_with_a_run_but_not_its_secrets(
    train: Train, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGES", str(images))
    monkeypatch.setenv("MY_API_KEY", "sesame-open-4711")
    monkeypatch.setenv("DATABASE_URL", "postgres://me:sesame-shut-0815@host/db")
    own = [f"+own.{name}=${{oc.env:{name}}}" for name in ("MY_API_KEY", "DATABASE_URL")]
    options = ["logger=[csv,tensorboard,wandb]", "+own.same='key ${own.MY_API_KEY}'", *own]
    train("data.root=${oc.env:IMAGES}", *options, RUN)
    score = results(Path("run"))["score"]
    monkeypatch.setenv("IMAGES", "/nowhere")
    go_on(monkeypatch, "resume=run", "logger=none")
    assert results(Path("run"))["score"] == score
    hyperparameters = yaml.safe_load(Path("run/csv/hparams.yaml").read_text())
    assert hyperparameters["own"] == {"MY_API_KEY": "***", "DATABASE_URL": "***", "same": "key ***"}
    assert hyperparameters["data"]["root"] == str(images)
    for path in filter(Path.is_file, Path().rglob("*")):
        assert not any(secret in path.read_bytes() for secret in (b"sesame-open", b"sesame-shut")), path


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X_OF_MINE=a b", "a b"), ("export X_OF_MINE='a # b' # c", "a # b"), ('X_OF_MINE = "a=b"', "a=b"),
        ("X_OF_MINE=a#b # c", "a#b"), ("X_OF_MINE=", ""), ("# X_OF_MINE=a", None),
    ],
)  # fmt: skip
def test_a_dotenv_file_is_read_as_a_shell_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, value: str | None
) -> None:
    monkeypatch.setenv("X_OF_MINE", "")
    monkeypatch.delenv("X_OF_MINE")
    monkeypatch.setenv("Y_OF_MINE", "set before")
    (tmp_path / ".env").write_text(f"{line}\n\nY_OF_MINE=other\n")
    load_env(tmp_path / ".env")
    assert (os.environ.get("X_OF_MINE"), os.environ["Y_OF_MINE"]) == (value, "set before")
    (tmp_path / ".env").write_text("A=1\nno variable\n")
    with pytest.raises(UserError, match=r"\.env, line 2 is not NAME=VALUE"):
        load_env(tmp_path / ".env")
