"""Kills in the middle of a save, full disks, numbers that are none, memory that ends."""

import multiprocessing
import os
import random
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import Script
from runs import Train, assert_equal, go_on, outcome
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from headstart import backbone
from headstart.resume.checkpoints import AtomicCheckpointIO, newest_checkpoint
from headstart.resume.steps import refuse_bad_weights

BY_STEP = ["head=mlp", "features.batch_size=8", "logger=none", "callbacks.last_checkpoint.minutes=1e-9"]
RUN = "hydra.run.dir=run"


def save_for_ever(path: Path) -> None:
    number = 0
    while True:
        number += 1
        AtomicCheckpointIO().save_checkpoint({"number": torch.full((100_000,), number)}, path)


def test_a_kill_in_the_middle_of_a_save_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if Path("/dev/shm").is_dir():  # another file system: a move from there would be a copy
        monkeypatch.setenv("TMPDIR", "/dev/shm")
    path, rng = tmp_path / "last.ckpt", random.Random(0)
    AtomicCheckpointIO().save_checkpoint({"number": torch.zeros(100_000)}, path)
    for _ in range(15):
        process = multiprocessing.get_context("fork").Process(target=save_for_ever, args=(path,))
        process.start()
        time.sleep(rng.uniform(0.01, 0.05))
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        numbers = torch.load(path, weights_only=True)["number"]
        assert (numbers == numbers[0]).all()
    (tmp_path / "best.ckpt.part").touch()  # of a kill in another one's save
    AtomicCheckpointIO().save_checkpoint({}, path)
    assert [found.name for found in tmp_path.iterdir()] == ["last.ckpt"]


def test_only_checkpoints_are_removed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "victim.ckpt").mkdir()
    for path in ("old.ckpt", "notes.txt", "victim.ckpt", "run/../other.ckpt"):
        if not (tmp_path / path).exists():
            (tmp_path / path).touch()
        AtomicCheckpointIO().remove_checkpoint(tmp_path / path)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "victim.ckpt", "notes.txt", "other.ckpt"}


@pytest.mark.slow
def test_resume_takes_the_newest_checkpoint_that_can_be_read(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(*BY_STEP, "callbacks.last_checkpoint.keep=3", "logger=tensorboard", RUN)
    wanted = outcome(Path("run"))
    folder = Path("run/checkpoints")
    assert {path.name for path in folder.iterdir()} == {"best.ckpt", "last.ckpt", "last-1.ckpt", "last-2.ckpt"}
    assert newest_checkpoint(folder) == folder / "last.ckpt"
    for name in ("last.ckpt", "last-1.ckpt"):
        (folder / name).write_bytes((folder / name).read_bytes()[:1000])
    go_on(monkeypatch, "resume=run")
    output = capsys.readouterr().out
    assert "skipping a checkpoint: the checkpoint" in output
    assert "resuming from" in output
    assert "last-2.ckpt" in output
    assert_equal(outcome(Path("run")), wanted)
    events = EventAccumulator("run/tensorboard").Reload()
    assert [event.step for event in events.Scalars("val/loss") if event.step < 10] == [4, 9]


@pytest.mark.slow
def test_without_any_checkpoint_it_starts_from_the_beginning(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train(*BY_STEP[:1], *BY_STEP[2:], RUN, "features.cache=false", "data.batch_size=8", "data.num_workers=2")
    wanted = outcome(Path("run"))
    for path in Path("run/checkpoints").glob("last*.ckpt"):
        path.unlink()  # a kill in the first seconds; best.ckpt is there, but nothing goes on exactly from it
    (Path("run/.hydra/2026-01-01_00-00-00")).mkdir()
    (Path("run/.hydra/2026-01-01_00-00-00/overrides.yaml")).touch()  # a kill between opening and writing
    go_on(monkeypatch, "resume=run")
    assert_equal(outcome(Path("run")), wanted)


@pytest.mark.slow
def test_a_run_that_ended_early_stays_ended(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("head=mlp", "patience=1", "model.lr=1e-9", "trainer.max_epochs=9", "logger=none", RUN)
    wanted = outcome(Path("run"))
    assert wanted["step"] == 2
    go_on(monkeypatch, "resume=run")
    assert_equal(outcome(Path("run")), wanted)
    go_on(monkeypatch, "resume=run", "patience=3")
    assert outcome(Path("run"))["step"] == 4


def test_bad_numbers_end_the_run_with_the_files_of_the_batch(train: Train) -> None:
    with pytest.raises(SystemExit) as caught:
        train(*BY_STEP, "model.lr=1e30", RUN)
    message = str(caught.value)
    assert message.startswith("error: the loss is ")
    assert ".jpg, " in message
    assert "smaller model.lr" in message
    for path in Path("run/checkpoints").glob("*.ckpt"):
        weights = torch.load(path, weights_only=True)["state_dict"]
        assert all(weight.isfinite().all() for weight in weights.values())


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_checkpoint_and_says_so(
    train: Train, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(*BY_STEP, "patience=99", RUN)
    last = workdir / "run/checkpoints/last.ckpt"
    size, content = last.stat().st_size, last.read_bytes()
    assert size > 1_000_000

    more = ["resume=run", "trainer.max_epochs=9"]
    done = Script("train.py", *more, cwd=workdir, file_size=size // 2)
    assert done.end() == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "can't be written (File too large)" in line
    assert line.endswith("make room, then go on with resume=run")
    assert "Traceback" not in done.stderr
    assert last.read_bytes() == content
    assert not list((workdir / "run").rglob("*.part"))
    go_on(monkeypatch, *more)
    assert len((workdir / "run/metrics.csv").read_text().splitlines()) == 10


@pytest.mark.slow
def test_a_kill_while_the_last_checkpoint_is_moved_loses_no_name(
    train: Train, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train("trainer.max_epochs=1", RUN)
    folder = workdir / "run/checkpoints"
    content = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").rename(folder / "next.ckpt")
    go_on(monkeypatch, "resume=run")
    assert (folder / "last.ckpt").read_bytes() == content
    assert not (folder / "next.ckpt").exists()


class Hungry(nn.Module):
    """Asks for 128 MB of memory for every image, and touches little of it."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.empty(len(images), 2**25)[:, :1].fill_(1) + images.mean(dim=(1, 2, 3))[:, None]


def features_within(megabytes: int, connection: Any) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, resource.RLIM_INFINITY))
    images, one = torch.arange(16, dtype=torch.uint8).view(16, 1, 1, 1).repeat(1, 3, 8, 8), torch.ones(1, 3, 1, 1)
    features = backbone.compute_features(Hungry(), images, one, one)
    connection.send((features.flatten().tolist(), set(backbone._that_fit.values())))


# All 16 ask for 2,048 MB. What new threads take of the limit, and what earlier tests have freed, differs by hundreds.
@pytest.mark.parametrize(("megabytes", "fits"), [(10_000, [set()]), (1500, [{8}, {4}])])
def test_what_is_too_much_for_the_memory_goes_in_parts(megabytes: int, fits: list[set[int]]) -> None:
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=features_within, args=(megabytes, theirs))
    process.start()
    theirs.close()
    found, sizes = ours.recv()
    process.join()
    assert found == [float(number + 1) - 1 for number in range(16)]
    assert sizes in fits


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_a_sixteenth_is_the_least_that_is_tried(kind: type[Exception]) -> None:
    class Full(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            tried.append(len(images))
            raise kind

    tried: list[int] = []
    images, one = torch.zeros(64, 3, 8, 8, dtype=torch.uint8), torch.ones(1, 3, 1, 1)
    with pytest.raises(
        ValueError, match=r"the memory of cpu is too small for 4 images at once: lower data\.batch_size"
    ):
        backbone.compute_features(Full(), images, one, one)
    assert tried == [64, 32, 16, 8, 4]


def test_weights_that_are_no_numbers_are_not_saved() -> None:
    frozen, trained = nn.Linear(2, 2).requires_grad_(requires_grad=False), nn.Linear(2, 2)
    frozen.weight.fill_(float("nan"))
    model = nn.Sequential(frozen, trained)
    refuse_bad_weights(model)
    with torch.no_grad():
        trained.weight[1, 1] = float("inf")
    with pytest.raises(ValueError, match=r"1\.weight is no finite number any more, and isn't saved"):
        refuse_bad_weights(model)
