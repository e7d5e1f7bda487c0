"""A run goes on with its own config and its own images, whatever conf/, the data or the environment say by now."""

import json
import logging
import shlex
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger
from runs import TINY, Train, go_on, results

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


def test_a_run_goes_on_with_its_own_config(
    train: Train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = Path("own/head/mine.yaml")
    own.parent.mkdir(parents=True)
    own.write_text(MLP.format(hidden=8))
    train("--config-dir=own", "head=mine", "solver=adamw", RUN, "logger=none")
    command = shlex.split(results(Path("run"))["command"])
    assert command[:3] == ["python", "train.py", f"--config-dir={Path('own').absolute()}"]
    own.write_text(MLP.format(hidden=16))
    go_on(monkeypatch, "resume=run", "trainer.max_epochs=3")
    assert "typed now: trainer.max_epochs=3 (was 2)" in caplog.text
    own.unlink()  # renamed, say
    go_on(monkeypatch, "resume=run")
    assert config(Path("run"))["head"]["hidden"] == 8
    weights = torch.load("run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert sorted({len(weight) for weight in weights.values()}) == [8, 10, 1024]
