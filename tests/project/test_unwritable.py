"""A full disk, folders that may not be written, names that are no text: a line, and no run that is lost at its end."""

import os
import shutil
from pathlib import Path

import pytest
from odd_images import saved
from processes import Script
from runs import Train, results

from headstart.images.checks import check_images


def test_a_data_folder_that_can_not_be_written_costs_lines_and_no_run(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()  # below which nothing can be written, even by root
    (run_dir,) = train("data_dir=file/data", "trainer.max_epochs=1")
    said = capsys.readouterr().out
    assert results(run_dir)["status"] == "finished"
    assert "file/data/checked can't be written (Not a directory): images are checked anew in every run" in said
    assert "features can't be kept in file/data/features (Not a directory)" in said


def test_somebody_elses_data_folder(nobody: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = nobody / "1.png"
    image.write_bytes(saved("png"))
    nobody.chmod(0o500)
    assert not check_images([str(image)], nobody / "checked").broken
    assert f"{nobody / 'checked'} can't be written (Permission denied)" in caplog.text


@pytest.mark.parametrize("options", [["hydra.run.dir=file/run"], ["data=shapes", "data_dir=file/data"]])
def test_where_nothing_can_be_written_a_run_ends_in_a_line_before_it_begins(
    train: Train, tmp_path: Path, options: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"^error: file/.*: Not a directory; free some space, change its permissions"):
        train(*options)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_full_disk_is_said_before_anything_is_loaded(workdir: Path, images: Path) -> None:
    done = Script("train.py", "data=folder", f"data.root={images}", cwd=workdir, file_size=1500)
    assert done.end() == 1
    assert "error: the disk: File too large; free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workdir / "data").exists()


def test_a_run_on_names_that_are_not_utf8(
    train: Train, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(images, tmp_path / "copy")
    content = (root / "train/red/0000.jpg").read_bytes()
    for number, name in enumerate(
        (b"train/red/gr\xfcn.jpg", b"val/red/\xff\xfe.jpg", b"test/red/\xe9/x.jpg", b"train/red/two.j\xf6g")
    ):
        path = root / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content + bytes([number]) * (number != 1))
    (run_dir,) = train("data.root=copy", "logger=[tensorboard,csv]")
    said = capfd.readouterr()
    assert results(run_dir)["status"] == "finished"
    assert sum(map(sum, results(run_dir)["confusion_matrix"])) == 21
    assert r"copy/val/red/\xff\xfe.jpg" in said.out  # an image of the training set
    assert r"1 other files ignored (1 .j\xf6g)" in said.out
    assert "Logging error" not in said.err
    odd = os.fsdecode(b"w\xf6rk")
    with pytest.raises(SystemExit, match=r"^error: data.root=w\\xf6rk is not UTF-8"):
        train(f"data.root={odd}")
    Path(odd).mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(SystemExit, match=r"^error: .*/w\\xf6rk is not UTF-8, as a config has to be: rename"):
        train()
