"""Shards: every sample read once, by the cached and the live road, and nothing lost without a word."""

import faulthandler
import io
import json
import multiprocessing
import os
import re
import runpy
import socket
import sys
import tarfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from odd_images import saved
from runs import ROOT, TINY, results
from torch.utils.data import DataLoader

from headstart.backbone import Preprocessing
from headstart.extras.shards.data import ShardData
from headstart.extras.shards.stream import LoadedBatch, ShardLoader, ShardStream, evenly
from headstart.extras.shards.tar import Packed, ShardSplit, class_names, expand_shards, label_numbers, read_shard
from headstart.features.file import read_features
from headstart.features.inventory import read_metadata
from headstart.images.augmentation import Augment
from headstart.images.loading import Loading
from headstart.images.transforms import RandomView

pytest.importorskip("webdataset", reason="an extra")

PREPROCESSING = Preprocessing(resize=8, crop=8, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
HOW = (Loading(batch_size=4), RandomView(PREPROCESSING, Augment()))
Members = list[tuple[str, bytes]]


def write_shard(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def shards(images: Path, tmp_path: Path) -> Path:
    """The images of all tests as train-0.tar to train-2.tar, val-0.tar, and test-0.tar and test-1.tar."""
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        paths = sorted(images.glob(f"{split}/*/*"))
        for number in range(count):
            members: Members = []
            for path in paths[number::count]:
                key = f"{path.parent.name}_{path.stem}"
                members += [(f"{key}{path.suffix}", path.read_bytes()), (f"{key}.cls", path.parent.name.encode())]
            write_shard(tmp_path / f"{split}-{number}.tar", members)
    return tmp_path


Stream = Callable[..., Path]
GIVEN = ("data=webdataset", "data.train=train-{0..2}.tar", "data.test=test-{0,1}.tar", "logger=none")


@pytest.fixture
def stream(shards: Path, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """Run the real train.py on the shards, in this process and their folder; returns the run's folder."""
    monkeypatch.chdir(shards)

    def run(*overrides: str) -> Path:
        arguments = [*GIVEN, "data.val=val-0.tar", *TINY, "hydra.run.dir=run", *overrides]
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        return max(shards.glob("run*"), key=lambda folder: (folder / ".hydra").stat().st_mtime_ns)

    return run


@pytest.mark.slow
def test_a_second_run_streams_nothing_and_a_third_only_what_has_changed(
    stream: Stream, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cold = results(stream())
    assert "6 shards with 10 classes (train 3, val 1, test 2)" in (said := capsys.readouterr().out)
    assert "80 images in data/features, 80 of them computed now" in said
    assert sum(map(sum, cold["confusion_matrix"])) == 20
    assert results(stream())["metrics"] == cold["metrics"]
    assert "80 images in data/features, 0 of them computed now" in capsys.readouterr().out
    os.utime(shards / "train-1.tar", (1, 1))
    stream("solver=adamw", "data.val='pipe:cat val-0.tar'")
    assert "80 images in data/features, 33 of them computed now" in capsys.readouterr().out  # 13, and the command's 20


def test_another_view_is_another_look_at_every_image(stream: Stream, shards: Path) -> None:
    stream("features.views=2")
    files = {read_metadata(path)["view"]: path for path in shard_files(shards) if "train-0" in str(read_metadata(path))}
    plain, other = (read_features(files[view]) for view in (0, 1))
    assert (plain != other).any(dim=1).all()


def test_a_run_that_is_killed_loses_one_shard(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(shard: str) -> object:
        if shard == "test-1.tar":
            raise KeyboardInterrupt
        return read_shard(shard)

    with monkeypatch.context() as patched:
        patched.setattr("headstart.extras.shards.stream.read_shard", read)
        with pytest.raises(SystemExit):
            stream()
    stream()
    assert "80 images in data/features, 10 of them computed now" in capsys.readouterr().out


@pytest.mark.slow
def test_of_a_broken_image_shard_and_key_are_named_or_it_is_counted(
    stream: Stream, shards: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    members: Members = [("a.jpg", b"no"), ("a.cls", b"red"), ("b.txt", b"?"), ("b.cls", b"red")]
    members += [("c.jpg", saved("jpeg")[:-99] + b"\xff\xd9"), ("c.cls", b"red")]
    write_shard(shards / "train-3.tar", members)
    given, live = "data.train=train-{0..3}.tar", ("features.cache=false", "trainer.max_epochs=1")
    for road in ((), live):
        with pytest.raises(SystemExit, match=r"^error: [abc] in train-3\.tar can't be decoded .*data\.on_error=skip"):
            stream(given, *road)
        assert results(stream(given, "data.on_error=skip", *road))["skipped_images"] == 3
    with pytest.raises(
        SystemExit, match=r"^error: a in train-3\.tar.*; b in train-3\.tar has no image \(b\.txt; b\.cls\)"
    ):
        stream(given)
    assert not any(line.startswith("Corrupt JPEG") for line in capfd.readouterr().err.splitlines())


def as_one_of_two(rank: int, port: int, arguments: list[str]) -> None:
    """The real train.py, as one of two processes that a launcher started; `read.txt` notes what training read."""
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    setattr(rank_zero_only, "rank", rank)  # noqa: B010 (as Lightning does it; it has no such attribute for pyright)
    faulthandler.dump_traceback_later(200, exit=True)  # rather than hang
    warnings.resetwarnings()  # Lightning gathers by what torch calls deprecated
    plainly = ShardStream.__iter__

    def noted(self: ShardStream) -> Iterator[LoadedBatch]:
        for batch in plainly(self):
            if self.order is not None:
                with Path("read.txt").open("a") as file:
                    file.writelines(f"{self.order}: {sample.name}\n" for sample in batch.samples)
            yield batch

    ShardStream.__iter__ = noted
    sys.argv = ["train.py", *arguments]
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="two processes that needn't import torch again")
@pytest.mark.parametrize("road", ["auto", "false"])
def test_two_processes_lose_nothing_and_see_nothing_twice(
    shards: Path, monkeypatch: pytest.MonkeyPatch, road: str
) -> None:
    monkeypatch.chdir(shards)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "data.val=val-0.tar",
        *TINY,
        "hydra.run.dir=run",
        "trainer=ddp",
        "trainer.devices=2",
        "data.batch_size=8",
    ]
    options += ["data.num_workers=2", f"features.cache={road}"]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=as_one_of_two, args=(rank, port, [*GIVEN, *options])) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0, 0]
    found = results(shards / "run")
    assert sum(map(sum, found["confusion_matrix"])) == 20
    samples = sorted(sample.name for number in range(3) for sample in read_shard(f"train-{number}.tar"))
    if road == "false":
        expected = [f"0 {epoch}: {name}" for epoch in (0, 1) for name in samples]
        assert sorted(Path("read.txt").read_text().splitlines()) == expected
    else:
        files = [json.loads(bytes(read_features(path, "samples").tolist())) for path in shard_files(shards)]
        assert sorted(len(file) for file in files) == [10, 10, 13, 13, 14, 20]


def shard_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("data/features/*.safetensors") if "rows" not in read_metadata(path)]


def names_of(batches: Iterable[LoadedBatch]) -> list[str]:
    return [sample.name for batch in batches for sample in batch.samples]


def streamed(shards: tuple[str, ...], rank: int, world_size: int, workers: int, order: str | None) -> list[str]:
    numbers = {label: 0 for shard in shards for label in (sample.label for sample in read_shard(shard))}
    source = ShardStream(ShardSplit(shards), numbers, *HOW, place=(rank, world_size), order=order, buffer=10)
    return names_of(DataLoader(source, batch_size=None, num_workers=workers))


@pytest.mark.parametrize("count", [3, 1])
def test_two_devices_with_two_workers_read_every_sample_once(shards: Path, count: int) -> None:
    urls = tuple(str(shards / f"train-{number}.tar") for number in range(count))
    everything = sorted(sample.name for url in urls for sample in read_shard(url))
    found = [streamed(urls, rank, 2, 2, "0 1") for rank in (0, 1)]
    assert sorted(found[0] + found[1]) == everything
    assert all(found)


def test_the_order_is_that_of_seed_and_epoch(shards: Path) -> None:
    urls = tuple(str(shards / f"train-{number}.tar") for number in range(3))
    first, again, other, plain = (streamed(urls, 0, 1, 0, order) for order in ("0 1", "0 1", "0 2", None))
    assert first == again
    assert len({*map(tuple, (first, other, plain))}) == 3
    assert plain == [sample.name for url in urls for sample in read_shard(url)]
    assert len({name.split("_")[0] for name in first[:10]}) > 2


def test_the_last_step_of_an_interrupted_epoch_gets_the_batches_that_it_would_have_had(shards: Path) -> None:
    split = ShardSplit((str(shards / "train-0.tar"),))
    numbers = {sample.label: 0 for sample in read_shard(split.shards[0])}
    place = [2, 0]

    def open_stream(epoch: int) -> ShardStream:
        return ShardStream(split, numbers, *HOW, order=f"0 {epoch}")

    loader = ShardLoader(open_stream, lambda: (place[0], place[1]), lambda _: None)
    whole = list(loader)
    place[1] = 2
    rest = list(loader)
    assert len(whole) == 4
    assert len(rest) == 2
    for late, batch in zip(rest, whole[2:], strict=True):
        assert torch.equal(late[0], batch[0])
    assert len(loader.names[3]) == len(whole[3][1])


def batch_of(*names: str) -> LoadedBatch:
    return LoadedBatch(
        torch.zeros(len(names), 3, 2, 2),
        torch.arange(len(names)),
        [Packed("a.tar", name, b"", "0") for name in names],
        [],
    )


def evened(shares: list[list[LoadedBatch]], size: int) -> list[list[list[str]] | str]:
    """What comes out for processes that are threads here."""
    barrier, votes = Barrier(len(shares), timeout=10), [False] * len(shares)
    out: list[list[list[str]] | str] = [""] * len(shares)

    def process(rank: int) -> None:
        def agree(vote: bool, *, all: bool) -> bool:
            votes[rank] = vote
            barrier.wait()
            outcome = min(votes) if all else max(votes)
            barrier.wait()
            return outcome

        try:
            out[rank] = [[one.key for one in batch.samples] for batch in evenly(iter(shares[rank]), size, agree)]
        except ValueError as error:
            out[rank] = str(error)

    threads = [Thread(target=process, args=(rank,)) for rank in range(len(shares))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out


def test_all_devices_get_as_many_full_batches() -> None:
    many, few = [batch_of("a", "b"), batch_of("c"), batch_of("d", "e")], [batch_of("x", "y")]
    assert evened([many, few], 2) == [[["a", "b"], ["c", "c"], ["d", "e"]], [["x", "y"]] * 3]
    assert all("has no training image" in str(problem) for problem in evened([many, []], 2))


def splits_of(folder: Path, **fractions: Any) -> dict[str, list[str]]:
    data = ShardData([str(folder / "train-{0..2}.tar")], **fractions, checked_dir=folder)
    data.setup()
    samples = [sample for number in range(3) for sample in read_shard(str(folder / f"train-{number}.tar"))]
    return {name: [one.lasting_name for one in samples if split.has(one)] for name, split in data.found.splits.items()}


def test_splits_without_shards_are_cut_from_the_training_samples(shards: Path, tmp_path: Path) -> None:
    found = splits_of(shards, val_fraction=0.3, test_fraction=0.3)
    assert all(len(names) in range(5, 24) for names in found.values())
    assert max(Counter(name for names in found.values() for name in names).values()) == 1
    assert sum(map(len, found.values())) == 40
    moved = shards.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert splits_of(moved, val_fraction=0.3, test_fraction=0.3) == found
    assert splits_of(moved, val_fraction=0.1, test_fraction=0.3)["test"] == found["test"]
    assert splits_of(moved, val_fraction=0.3, test_fraction=0.3, seed=1)["test"] != found["test"]
    assert splits_of(moved, val_fraction=0.0, test_fraction=1.0).keys() == {"test"}


def test_a_run_on_training_shards_alone(stream: Stream) -> None:
    run_dir = stream("data.val=null", "data.test=null", "data.val_fraction=0.3", "data.test_fraction=0.3")
    assert 5 <= sum(map(sum, results(run_dir)["confusion_matrix"])) < 24


LABELS = [(".cls", b"7\n"), (".cls", b"cat"), (".json", b"7"), (".json", b'{"label": 7}'), (".json", b'{"cls": "cat"}')]


@pytest.mark.parametrize(("ending", "content"), LABELS)
def test_labels(tmp_path: Path, ending: str, content: bytes) -> None:
    shard = write_shard(tmp_path / "a.tar", [("dir/a.jpg", b"x"), (f"dir/a{ending}", content)])
    (sample,) = read_shard(str(shard))
    assert (sample.key, sample.content) == ("dir/a", b"x")
    assert sample.label == ("cat" if b"cat" in content else "7")


@pytest.mark.parametrize("members", [[("a.jpg", b"x")], [("a.json", b"[1]")], [("a.json", b"{")], [("a.cls", b"\xff")]])
def test_a_sample_without_a_label_is_named(tmp_path: Path, members: Members) -> None:
    shard = write_shard(tmp_path / "a.tar", members)
    with pytest.raises(ValueError, match=r"a in .*a\.tar has no label: a file that ends in \.cls"):
        list(read_shard(str(shard)))


CLS = ("a.cls", b"1")
WRONG: list[tuple[Members, str]] = [
    ([("a.xyz", b"x"), CLS], r"^a has no image \(a\.xyz; a\.cls\): its name has one dot, and one of "),
    ([("a.v2.jpg", b"x"), CLS], r"^a has no image \(a\.v2\.jpg; a\.cls\)"),
    ([CLS], r"^a has no image \(a\.cls\)"),
    ([("a.jpg", b"x"), ("a.png", b"x"), CLS], r"^a has 2 images and 1 labels \(a\.jpg; a\.png; a\.cls\): keep one"),
    ([("a.jpg", b"x"), CLS, ("a.jpg", b"y"), CLS], "^a has 2 images and 2 labels"),
    (
        [("a.jpg", b"x"), CLS, ("b.jpg", b"x"), ("b.cls", b"1"), ("a.jpg", b"y"), CLS],
        "^a has the name of an earlier one",
    ),
]


@pytest.mark.parametrize(("members", "message"), WRONG)
def test_what_is_wrong_with_a_sample_is_said_by_its_files(tmp_path: Path, members: Members, message: str) -> None:
    samples = list(read_shard(str(write_shard(tmp_path / "a.tar", members))))
    assert re.match(message, f"{samples[-1].key} {samples[-1].problem}")


def test_links_are_named_and_folders_hidden_files_and_long_names_are_fine(tmp_path: Path) -> None:
    long = "/" + "d" * 90 + "/" + "\u00e4" * 90  # which needs a PAX header
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}) as archive:
        for name, kind, content in (
            ("d.jpg", tarfile.DIRTYPE, b""),
            ("._a.jpg", tarfile.REGTYPE, b"of a Mac"),
            ("README.md", tarfile.REGTYPE, b"no sample"),
            (f"{long}.JPG", tarfile.REGTYPE, b"x"),
            (f"{long}.cls", tarfile.REGTYPE, b"1"),
            ("b.jpg", tarfile.SYMTYPE, b""),
            ("b.cls", tarfile.REGTYPE, b"1"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "a.jpg" if kind == tarfile.SYMTYPE else ""
            archive.addfile(member, io.BytesIO(content))
    first, second = read_shard(str(tmp_path / "a.tar"))
    assert (first.key, first.content, first.problem) == (long, b"x", "")
    assert second.problem.startswith("has no image (b.jpg, which is a link; b.cls)")


@pytest.mark.parametrize("pipe", ["", "pipe:cat "])
@pytest.mark.parametrize("kept", [0, 700, 1024, 2048])
def test_a_shard_that_is_cut_off_is_never_taken_for_a_whole_one(tmp_path: Path, kept: int, pipe: str) -> None:
    shard = write_shard(tmp_path / "a.tar", [(f"{name}.cls", b"1") for name in "abc"])
    assert len(list(read_shard(f"{pipe}{shard}"))) == 3
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"the shard .*a\.tar can't be read"):
        list(read_shard(f"{pipe}{shard}"))


def test_a_command_that_fails_is_no_end_of_a_shard(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.tar", [("a.cls", b"1")])
    with pytest.raises(ValueError, match="the transfer failed") as caught:
        list(read_shard(f"pipe:cat {shard}; : secret; exit 3"))
    assert "Popen" not in str(caught.value)


def test_class_names(tmp_path: Path) -> None:
    members = [(f"{number}.cls", str(number).encode()) for number in (10, 9, 2, 9)]
    shards = (str(write_shard(tmp_path / "a.tar", [*members[:3], ("x.cls", b"10")])),)
    assert class_names(None, shards, tmp_path) == ("2", "9", "10")
    assert class_names(None, shards, tmp_path) == ("2", "9", "10")  # as it was remembered
    assert class_names(["b", "a"], shards, tmp_path) == ("b", "a")
    (tmp_path / "classes.txt").write_text("cat\n\ndog\n")
    assert class_names(None, shards, tmp_path) == class_names(tmp_path / "classes.txt", (), tmp_path) == ("cat", "dog")
    assert label_numbers(("cat", "dog")) == {"cat": 0, "dog": 1, "0": 0, "1": 1}
    assert label_numbers(("2", "9", "10")) == {"2": 0, "9": 1, "10": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "train-{0..9}.tar"}, r"7 of 10 shards aren't there, train-3\.tar for one \(train-\{0\.\.9\}"),
        ({"train": "train-{0..2.tar"}, r"can't be written out as shards|aren't there"),
        (
            {"train": "https://127.0.0.1/a.tar"},
            r"which classes does https://127\.0\.0\.1/a\.tar have\? Give data\.classes",
        ),
        ({"train": None}, r"there are no training shards: data\.train="),
        ({"classes": ["a", "a"]}, r"has the class 'a' twice"),
        ({"classes": "none.txt"}, r"none\.txt can't be read: give a text file"),
        ({"folds": 3, "fold": 0}, r"data\.folds needs a table"),
        ({"fixes": "doctor.csv"}, r"data\.fixes names files, which shards don't have"),
        ({"shuffle": 0}, r"data\.shuffle=0 must be a whole number"),
    ],
)
def test_mistakes(shards: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str) -> None:
    monkeypatch.chdir(shards)
    given: dict[str, Any] = {"train": "train-{0..2}.tar"} | options
    with pytest.raises(ValueError, match=message):
        ShardData(**given).setup()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.classes=[a,b]"], r"the label '\w+' of \w+ in train-0\.tar is none of the 2 classes"),
        (["data.val=null", "data.val_fraction=0.001"], r"there are no val images in 3 shards"),
    ],
)
def test_mistakes_that_show_in_the_stream(stream: Stream, overrides: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: {message}"):
        stream(*overrides)


def test_shards_are_written_out_as_webdataset_does(tmp_path: Path) -> None:
    for name in ("a-0.tar", "a-1.tar", "b.tar"):
        write_shard(tmp_path / name, [])
    expected = tuple(str(tmp_path / name) for name in ("a-0.tar", "a-1.tar", "b.tar"))
    assert expand_shards(f"{tmp_path}/a-{{0..1}}.tar::file:{tmp_path}/b.tar") == expected
    assert expand_shards([f"{tmp_path}/a-{{0..1}}.tar", f"{tmp_path}/b.tar"]) == expected
    assert expand_shards(None) == ()
