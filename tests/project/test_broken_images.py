"""Images that are broken, too large, unreadable or gone: named or counted, and never trained on as something else."""

import multiprocessing
import pkgutil
import shutil
from pathlib import Path
from typing import Any

import pytest
from odd_images import TOO_LARGE, bomb, saved
from runs import Train, results

import headstart.images.checks
from headstart.images.decoding import read_with_size

BROKEN = {"cut.jpg": "truncated", "cut.png": "truncated", "empty.jpg": "the file is empty", "page.jpg": "not an image"}
BROKEN |= {"bomb.png": TOO_LARGE, "bomb.jpg": TOO_LARGE}


@pytest.fixture
def root(images: Path, tmp_path: Path) -> Path:
    """The images, with one of each kind that is broken among them, and a PNG that is called .jpg."""
    root = shutil.copytree(images, tmp_path / "copy")
    content = {"bomb.png": bomb("png"), "bomb.jpg": bomb("jpeg"), "cut.jpg": saved("jpeg")[:-99], "empty.jpg": b""}
    content |= {"cut.png": saved("png")[:-50], "page.jpg": b"<html>gone</html>", "whole.jpg": saved("png")}
    for i, (name, broken) in enumerate(content.items()):
        (root / ("train", "val", "test")[i % 3] / "red" / name).write_bytes(broken)
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that checks have decoded."""
    names: list[str] = []

    def read(path: str, *options: int) -> Any:
        names.append(Path(path).name)
        return read_with_size(path, *options)

    monkeypatch.setattr(headstart.images.checks, "read_with_size", read)
    return names


@pytest.mark.slow
def test_raise_then_skip_then_raise_with_one_scan(
    train: Train, root: Path, decoded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        train("data.root=copy")
    problems = str(caught.value).removeprefix("error: ").split("; ")
    assert {Path(problem.split()[0]).name for problem in problems} == BROKEN.keys()
    assert all(BROKEN[Path(problem.split()[0]).name] in problem for problem in problems)
    assert "data.on_error=skip" in problems[-1]
    assert not list(root.parent.glob("logs/**/metrics.csv"))
    assert len(decoded) >= 87  # and again what was beside a decoder's warning
    decoded.clear()
    *_, run_dir = train("data.root=copy", "data.on_error=skip")
    assert results(run_dir)["skipped_images"] == 6
    assert sum(map(sum, results(run_dir)["confusion_matrix"])) == 20
    printed = capsys.readouterr().out
    assert "81 images in 10 classes (train 41, val 20, test 20); 6 broken ones skipped" in printed
    assert f"skip leaves 6 broken images out: {problems[0]}" in printed
    with pytest.raises(SystemExit, match=TOO_LARGE):
        train("data.root=copy")
    assert set(decoded) == BROKEN.keys(), "whole images were decoded again"


@pytest.mark.usefixtures("root")
def test_live_epochs_leave_them_out_and_count_them_too(train: Train) -> None:
    (run_dir,) = train("data.root=copy", "data.on_error=skip", "features.cache=false", "trainer.max_epochs=1")
    assert results(run_dir)["skipped_images"] == 6


def test_a_class_that_loses_all_its_training_images(train: Train, root: Path) -> None:
    for path in root.glob("train/blue/*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(SystemExit, match=r"^error: class 'blue' has no training image that isn't broken: replace"):
        train("data.root=copy", "data.on_error=skip")


LIVE, EPOCH_END = "features.cache=false", "project.callbacks.epoch_line.EpochLine.on_train_epoch_end"


@pytest.mark.parametrize(
    ("moment", "options"),
    [
        (EPOCH_END, [LIVE]),
        (EPOCH_END, [LIVE, "data.num_workers=2"]),
        ("project.main.fit", []),
        ("project.main.fit", ["data.num_workers=2"]),
        ("project.main.fit", ["features.verify=content"]),
    ],
)
def test_a_image_that_vanishes_ends_the_run_in_one_line(
    train: Train,
    root: Path,
    moment: str,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    victim, original = next(root.glob("train/gold/*.jpg")), pkgutil.resolve_name(moment)
    monkeypatch.setattr(moment, lambda *args: victim.unlink(missing_ok=True) or original(*args))
    with pytest.raises(SystemExit) as caught:
        train(f"data.root={root}", "data.on_error=skip", *options)
    reasons = [f"error: {victim} can't be {done} (No such file or directory)" for done in ("decoded", "read")]
    assert caught.value.code in reasons
    assert "Traceback" not in capfd.readouterr().err
    workers = multiprocessing.active_children()
    for worker in workers:
        worker.kill()
    assert not workers, "the process would wait for them"


@pytest.mark.parametrize("mistake", ["data.on_error=ignore", "data.max_pixels=0", "data.max_pixels=1.5"])
def test_mistakes(train: Train, mistake: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: {mistake}(: choose raise or skip| must be a whole number)"):
        train(mistake)
