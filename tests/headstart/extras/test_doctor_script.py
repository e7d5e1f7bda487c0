"""The doctor's script: on a run, and on data that nobody trained on yet; and what becomes of an edited doctor.csv."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from processes import Script
from runs import TINY, results

from headstart.errors import UserError
from headstart.extras.doctor.findings import COLUMNS, Finding, refuse_to_overwrite, write_findings


def test_a_file_with_actions_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "doctor.csv"
    write_findings(path, [Finding('a, "b".jpg', "train", "label", "[x]", "y", 0.25, "n")])
    refuse_to_overwrite(path)
    assert path.read_text().splitlines()[1] == '"a, ""b"".jpg",train,label,[x],y,0.2500,,n'
    path.write_text(path.read_text().replace(",,n", ",drop,n"))
    with pytest.raises(UserError, match=r"doctor.csv has 1 actions that would be lost: rename it first"):
        refuse_to_overwrite(path)


def edited(path: Path, actions: dict[str, tuple[str, str]]) -> None:
    """Fill in what a reader decides: by image the action, and the class."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    known = {row["path"]: row for row in rows}
    for image, (action, suggested) in actions.items():
        known[image] |= {"action": action, "suggested": suggested}
    with path.open("w", newline="") as file:
        writer: Any = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(known.values())


@pytest.mark.slow
def test_what_the_doctor_finds_is_edited_and_trained_with(images: Path, workdir: Path) -> None:
    root = workdir / "images"
    shutil.copytree(images, root)
    moved = root / "train/blue/moved.jpg"
    (root / "train/red/0001.jpg").rename(moved)  # a label that is wrong
    copy = root / "test/gold/copy.jpg"
    shutil.copy(root / "train/pink/0000.jpg", copy)  # a leak, under a second label
    broken = root / "val/red/broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    data = ["data=folder", f"data.root={root}", "trainer.accelerator=cpu", "progress=none"]
    data += [*TINY[:3], "data.num_workers=0"]
    doctor = Script("scripts/doctor.py", *data, cwd=workdir)
    assert doctor.end() == 0, doctor.stderr
    csv_file, json_file, html = (Path(line) for line in doctor.stdout.splitlines()[-3:])
    assert html.stat().st_size > 5000
    with csv_file.open(newline="") as file:
        rows = {(row["path"], row["kind"]): row for row in csv.DictReader(file)}
    assert rows[str(copy), "leak"]["suggested"] == "pink"
    assert (str(broken), "damaged") in rows
    summary = json.loads(json_file.read_text())
    assert summary["repeated"]["leaks"]["test in train"] >= 1
    assert summary["images"] == {"train": 40, "val": 20, "test": 21}
    actions = {str(copy): ("drop", ""), str(broken): ("drop", ""), str(moved): ("relabel", "red")}
    with csv_file.open("a") as file:
        file.write(f"{moved},train,label,blue,,,,\n")  # which random weights may not find
    edited(csv_file, actions)
    shutil.move(csv_file, "my fixes.csv")
    run = ["hydra.run.dir=run", "data.fixes=my fixes.csv", "trainer.max_epochs=2", "logger=none"]
    trained = Script("train.py", *data, *run, cwd=workdir)
    assert trained.end() == 0, trained.stderr
    assert results(workdir / "run")["fixes"] == {"relabelled": 1, "dropped": 2}
    assert "images in 10 classes (train 40, val 20, test 20); data.fixes: 1 relabelled; 2 dropped" in trained.stdout
    # Only test has others: what is relabelled has the features that it had.
    assert len(list(Path("data/features").glob("*.safetensors"))) == 4
    again = Script("scripts/doctor.py", "run", cwd=workdir)
    assert again.end() == 0, again.stderr
    assert json.loads(Path("run/doctor.json").read_text())["images"]["test"] == 20
    # What a run began with is what it goes on with.
    Path("my fixes.csv").write_text(Path("my fixes.csv").read_text().replace("relabel", "keep"))
    resumed = Script("train.py", "resume=run", "trainer.max_epochs=3", cwd=workdir)
    assert resumed.end() == 1
    assert "of the 40 files of train some are others, or have another label" in resumed.stderr


@pytest.mark.slow
def test_what_is_no_run_is_said(workdir: Path) -> None:
    done = Script("scripts/doctor.py", "nowhere", cwd=workdir)
    assert done.end() == 1
    assert done.stderr.startswith("error: nowhere is no folder of a run: python scripts/doctor.py RUN, or data=...")
