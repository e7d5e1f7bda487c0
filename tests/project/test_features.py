"""The feature cache in real runs: computed once, never stale, whole or not there, and worth what the live road is."""

import csv
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from processes import Script
from runs import TINY, Train, results

from headstart.features.file import read_features
from headstart.features.inventory import read_metadata

COMPUTED = re.compile(r"^features: .* images in .*, (\d+) of them computed now", flags=re.MULTILINE)


def computed(text: str) -> list[int]:
    """How many images' features the runs computed that printed `text`."""
    return [int(number) for number in COMPUTED.findall(text)]


def start(images: Path, workdir: Path, *overrides: str, file_size: int | None = None) -> Script:
    """Start the real train.py in a process of its own."""
    options = ["data=folder", f"data.root={images}", *TINY, *overrides]
    return Script("train.py", *options, cwd=workdir, file_size=file_size)


def files(folder: str | Path = "data/features") -> list[Path]:
    return sorted(Path(folder).glob("*.safetensors"))


def copy_of(images: Path, folder: Path) -> Path:
    return Path(shutil.copytree(images, folder / "copy"))


@pytest.mark.slow
def test_a_second_run_computes_nothing_and_comes_to_the_same(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    for number, head in enumerate(("linear", "linear", "mlp")):
        train(f"head={head}", f"hydra.run.dir=logs/runs/{number}")
    assert computed(capsys.readouterr().out) == [80, 0, 0]
    first, second, _ = (Path(f"logs/runs/{number}/metrics.csv").read_text() for number in range(3))
    assert first == second
    assert {(read_metadata(path)["images"], read_features(path).shape[1]) for path in files()} == {
        (40, 1024),
        (20, 1024),
    }


@pytest.mark.slow
def test_a_sweep_shares_one_pass(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    runs = train("-m", "model.lr=0.001,0.01", "model.weight_decay=0,0.1", "seed=1,2", "trainer.max_epochs=1")
    assert len(runs) == 8
    assert computed(capsys.readouterr().out) == [80] + 7 * [0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("image", 20),
        ("backbone.seed=1", 80),
        ("trainer.precision=bf16-mixed", 80),
        ("data.num_workers=1", 0),
        ("data.batch_size=7", 0),
        ("features.verify=content", 80),
    ],
)
def test_what_changes_is_computed_again_and_nothing_else(
    train: Train, images: Path, tmp_path: Path, change: str, again: int, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"data.root={copy_of(images, tmp_path)}"
    train(root, "trainer.precision=32-true", "trainer.max_epochs=1")
    before = {path: read_features(path).clone() for path in files()}
    overrides = [change]
    if change == "image":
        overrides = []
        one, other = sorted((tmp_path / "copy" / "val").glob("*/*.jpg"))[:2]
        one.write_bytes(other.read_bytes())
    train(root, "trainer.precision=32-true", "trainer.max_epochs=1", *overrides)
    assert computed(capsys.readouterr().out) == [80, again]
    assert all(torch.equal(before[path], read_features(path)) for path in before)
    assert len(files()) == 3 + {0: 0, 20: 1, 80: 3}[again]


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_cached_and_live_runs_come_to_the_same(train: Train, norm: str) -> None:
    shared = ("trainer.precision=32-true", "data.batch_size=7", f"norm={norm}")
    for number, cache in enumerate(("auto", "false")):
        train(f"features.cache={cache}", *shared, f"hydra.run.dir=logs/runs/{number}")
    assert len(files()) == 3
    tables = []
    for number in range(2):
        with Path(f"logs/runs/{number}/metrics.csv").open() as file:
            tables.append([{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)])
    tables = [[*rows, results(Path(f"logs/runs/{number}"))["metrics"]] for number, rows in enumerate(tables)]
    for cached, live in zip(*tables, strict=True):
        # Features of random weights are near to ties, which the order of a sum decides where they aren't normalised.
        names = [name for name in cached if norm == "layer" or name.endswith("/loss")]
        rel = 5e-3 if norm == "layer" else 2e-2
        assert [live[name] for name in names] == pytest.approx([cached[name] for name in names], rel=rel, abs=5e-3)


@pytest.mark.slow
def test_in_bf16_cached_and_live_runs_come_to_the_same_within_its_noise(train: Train) -> None:
    shared = ("trainer.accelerator=cpu", "trainer.precision=bf16-mixed", "trainer.max_epochs=1")  # a strong penalty
    for number, cache in enumerate(("auto", "false")):
        train(f"features.cache={cache}", *shared, f"hydra.run.dir=logs/runs/{number}", tiny=False)
    cached, live = (results(Path(f"logs/runs/{number}"))["metrics"] for number in range(2))
    assert [live[f"{split}/loss"] for split in ("val", "test")] == pytest.approx(
        [cached[f"{split}/loss"] for split in ("val", "test")], rel=0.05
    )
    assert [live[f"{split}/accuracy"] for split in ("val", "test")] == pytest.approx(
        [cached[f"{split}/accuracy"] for split in ("val", "test")],
        abs=0.11,  # two of 20 images
    )


def test_features_are_those_of_the_images_in_the_tables_order(train: Train, images: Path) -> None:
    from headstart.backbone import compute_features
    from headstart.images.loading import ImageDataset
    from project.backbones.torchvision import from_torchvision
    from project.data.folder import find_images

    train("trainer.precision=32-true", "trainer.max_epochs=1")
    (path,) = [path for path in files() if read_metadata(path)["images"] == 40]
    backbone = from_torchvision("mobilenet_v3_small", weights=None)
    dataset = ImageDataset(find_images(images).train, backbone.preprocessing)
    batch = torch.stack([image for image, _ in dataset.__getitems__([0, 17, 39])])
    mean, std = (torch.tensor(getattr(backbone.preprocessing, name)).view(1, 3, 1, 1) * 255 for name in ("mean", "std"))
    wanted = compute_features(backbone.network.eval(), batch, mean, std)
    assert torch.allclose(read_features(path)[[0, 17, 39]], wanted, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.slow
def test_views_are_computed_once_and_taken_in_turns(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    for views in (1, 3, 3):
        train(f"features.views={views}", "solver=adamw", f"hydra.run.dir=logs/runs/{len(files())}")
    assert computed(capsys.readouterr().out) == [80, 2 * 40, 0]
    views = {
        read_metadata(path)["view"]: read_features(path) for path in files() if read_metadata(path)["images"] == 40
    }
    assert set(views) == {0, 1, 2}
    assert not torch.equal(views[1], views[2])
    train("features.views=3", "hydra.run.dir=logs/runs/whole")  # lbfgs takes all views at once
    assert "penalty" in Path("logs/runs/whole/metrics.csv").read_text()


def test_fresh_crops_every_epoch_are_live(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    train("augment=light")
    assert computed(capsys.readouterr().out) == []
    assert not files()


def test_a_damaged_file_is_named(train: Train) -> None:
    train("trainer.max_epochs=1")
    path = files()[0]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SystemExit, match=f"{path.name} is damaged"):
        train("trainer.max_epochs=1")


@pytest.mark.slow
def test_killed_in_the_middle_it_leaves_a_whole_cache_or_none(images: Path, workdir: Path) -> None:
    folder = workdir / "data/features"
    for _ in range(2):  # the second run also takes over the dead one's lock
        process = start(images, workdir)
        deadline = time.monotonic() + 120
        while not list(folder.glob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.002)
        process.kill()
        assert process.end() == -signal.SIGKILL
        assert list(folder.glob("*.part"))
    whole = files(folder)
    assert all(read_features(path).abs().sum(dim=1).all() for path in whole)
    done = start(images, workdir)
    assert done.end() == 0, done.stderr
    assert computed(done.stdout) == [80 - sum(len(read_features(path)) for path in whole)]
    assert not list(folder.glob("*.part"))
    assert sum(len(read_features(path)) for path in files(folder)) == 80


@pytest.mark.slow
def test_two_runs_at_once_compute_once(images: Path, workdir: Path) -> None:
    processes = [start(images, workdir, f"hydra.run.dir=logs/runs/{number}") for number in range(2)]
    assert [process.end() for process in processes] == [0, 0]
    assert sum(number for process in processes for number in computed(process.stdout)) == 80
    scores = [json.loads((workdir / f"logs/runs/{n}/results.json").read_text())["metrics"] for n in range(2)]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_live_road(images: Path, workdir: Path) -> None:
    overrides = ["logger=none", "trainer.max_epochs=1"]
    # The features of 40 images take 164 kB, all else of a run less than 80.
    done = start(images, workdir, *overrides, file_size=80_000)
    assert done.end() == 0, done.stderr
    assert "features can't be kept in data/features (File too large): every epoch computes them anew" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    (run_dir,) = workdir.glob("logs/runs/*")
    live = results(run_dir)["metrics"]
    assert not list((workdir / "data/features").glob("*.part"))
    assert start(images, workdir, *overrides, "hydra.run.dir=free").end() == 0
    assert results(workdir / "free")["metrics"] == pytest.approx(live, rel=1e-3, abs=1e-3)


@pytest.mark.slow
def test_list_and_prune(train: Train, cli: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    train("trainer.max_epochs=1")
    old, *others = files()
    os.utime(old, (0, 0))
    Path("data/features/left.part").write_bytes(b"x" * 1000)
    done = cli("scripts/features.py", "list")
    assert done.returncode == 0, done.stderr
    assert "4 files, 0.3 MB in data/features" in done.stdout
    assert "from_torchvision mobilenet_v3_small" in done.stdout
    done = cli("scripts/features.py", "prune")
    assert "2 files, " in done.stdout
    assert files() == others
    assert not list(Path("data/features").glob("*.part"))
    assert "0 files, 0.0 MB in nowhere" in cli("scripts/features.py", "--dir", "nowhere", "list").stdout
    cli("scripts/features.py", "prune", "--days", "0")
    assert not files()


@pytest.mark.slow
def test_a_compiled_network_finds_the_same_features(caplog: pytest.LogCaptureFixture) -> None:
    from headstart.features.fast_network import Compiled

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten()).eval()
    batch = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.INFO, "headstart"):
        compiled = Compiled(network, batch)
    assert ("features: compiled in" in caplog.text) == bool(shutil.which("g++"))
    for images in (batch, batch[:3]):  # a last batch is smaller
        assert torch.allclose(compiled(images), network(images), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_from_how_many_images_on_it_is_compiled(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def note(network: torch.nn.Module, images: torch.Tensor) -> torch.nn.Module:
        compiled.append(len(images))
        return network

    monkeypatch.setattr("headstart.features.compute.Compiled", note)
    for worth_it in (81, 80):
        monkeypatch.setattr("headstart.features.compute.WORTH_IT", worth_it)
        train("data.batch_size=16", "trainer.max_epochs=1", f"features.dir=features-{worth_it}")
    assert compiled == [16]


def test_what_cannot_be_compiled_is_taken_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    from headstart.features.fast_network import Compiled

    def refuse(_images: torch.Tensor) -> None:
        raise RuntimeError("no compiler")

    network = torch.nn.Linear(3, 2)
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.INFO, "headstart"):
        patch.setattr(torch, "compile", lambda *_, **__: refuse)
        compiled = Compiled(network, torch.ones(4, 3))
    assert "features: not compiled (no compiler)" in caplog.text
    assert torch.equal(compiled(torch.ones(4, 3)), network(torch.ones(4, 3)))
