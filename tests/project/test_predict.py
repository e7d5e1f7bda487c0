"""predict.py on a real run: what it writes, says, refuses and leaves alone."""

import csv
import json
import os
import pickle
import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from odd_images import saved
from runs import ROOT, results

from headstart.extras.serving.rows import UNSURE
from project.reporting.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("workdir")]


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> Any:
    def start(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, arguments)])
        runpy.run_path(str(ROOT / "scripts/predict.py"), run_name="__main__")

    return start


def rows_of(path: str = "predictions.csv") -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_test_split_comes_to_the_runs_own_accuracy(
    predict: Any, tiny_run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(tiny_run, images / "test", "--top", 99, "--copy-to", "sorted")
    rows = rows_of()
    test = RunFolder(tiny_run).splits["test"]
    wanted = {
        path: results(tiny_run)["classes"][number] for path, number in zip(test.paths, test.predicted, strict=True)
    }
    assert {row["path"]: row["class"] for row in rows} == wanted
    right = sum(row["class"] == Path(row["path"]).parent.name for row in rows)
    assert right / len(rows) == pytest.approx(results(tiny_run)["metrics"]["test/accuracy"])
    assert list(rows[0]) == ["path", "class", "probability", "error", "class_2", "probability_2"] + [
        f"{what}_{number}" for number in range(3, 11) for what in ("class", "probability")
    ]
    assert sum(float(value) for name, value in rows[0].items() if "probability" in name) == pytest.approx(1, abs=1e-4)
    copies = {path.relative_to("sorted").parts[0] for path in Path("sorted").rglob("*.jpg")}
    assert copies == {row["class"] for row in rows}
    assert len(list(Path("sorted").rglob("*.jpg"))) == len(rows) == 20
    said = capsys.readouterr().out
    assert "predictions.csv: 20 images" in said
    assert all(re.search(rf"│ {name} +│ {list(wanted.values()).count(name)} ", said) for name in wanted.values())


def test_broken_images_are_rows_and_the_exit_code_says_so(predict: Any, tiny_run: Path, images: Path) -> None:
    os.makedirs("in, [x]=1")  # noqa: PTH103
    for number, name in enumerate(("whole.jpg", os.fsdecode(b"l\xfc.jpg"))):
        shutil.copy(images / "test" / "red" / f"{number:04d}.jpg", Path("in, [x]=1") / name)
    Path("in, [x]=1/cut.png").write_bytes(saved("png")[:-50])
    with pytest.raises(SystemExit, match=r"^error: 1 of 3 images are broken: see the column error of a\.json$"):
        predict(tiny_run, "in, [x]=1", "--output", "a.json", "--copy-to", "out", "--top", "1")
    found = {row["path"]: row for row in json.loads(Path("a.json").read_text())}
    assert list(found) == ["in, [x]=1/cut.png", r"in, [x]=1/l\xfc.jpg", "in, [x]=1/whole.jpg"]
    assert "cut.png can't be decoded" in found["in, [x]=1/cut.png"]["error"]
    assert found["in, [x]=1/cut.png"]["class"] is None
    assert found["in, [x]=1/whole.jpg"]["class"] in results(tiny_run)["classes"]
    assert sorted(path.name for path in Path("out").rglob("*.*")) == [os.fsdecode(b"l\xfc.jpg"), "whole.jpg"]


def test_unsure_and_what_is_written_where(
    predict: Any, tiny_run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        predict(tiny_run, images / "test/red", "--min-confidence", "1", "--copy-to", "out")
    assert rows_of() == rows_of("predictions_2.csv")
    for row in rows_of():
        assert row["class"] == UNSURE
        assert row["likeliest"] in results(tiny_run)["classes"]
        assert 0 < float(row["probability"]) < 1
    names = sorted(path.name for path in Path("out/unsure").iterdir())
    assert names == ["0000.jpg", "0000_2.jpg", "0001.jpg", "0001_2.jpg"]
    capsys.readouterr()
    predict(tiny_run, images / "test/red", "--output", "predictions.csv", "--min-confidence", "0")
    assert "predictions.csv: 2 images, in place of the file before" in capsys.readouterr().out
    assert rows_of()[0]["class"] == rows_of()[0]["likeliest"]


def test_calibration_is_that_of_the_runs_own_validation(
    predict: Any, tiny_run: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(tiny_run, images / "test")
    predict(tiny_run, images / "test", "--calibrated")
    plain, calibrated = rows_of(), rows_of("predictions_2.csv")
    form = r"temperature ([\d.]+): expected calibration error ([\d.]+) before, ([\d.]+) after \((\w+), (\d+)"
    said = re.findall(form, capsys.readouterr().out)
    assert [(one[3], one[4]) for one in said] == [("val", "20"), ("test", "20")]
    temperature = float(said[0][0])
    assert [row["class"] for row in plain] == [row["class"] for row in calibrated]
    changed = [float(one["probability"]) - float(other["probability"]) for one, other in zip(plain, calibrated)]  # noqa: B905
    assert all((change > 0) == (temperature > 1) for change in changed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: RUN, IMAGES"),
        (["RUN"], "the following arguments are required: IMAGES"),
        (["RUN", "a.jpg", "--top", "0"], "argument --top: 0 must be a whole number from 1 up"),
        (["RUN", "a.jpg", "--min-confidence", "50%"], "argument --min-confidence: 50% must be a number from 0 to 1"),
        (["RUN", "a.jpg", "--calib"], "unrecognized arguments: --calib"),
    ],
)
def test_what_is_typed_wrong_is_one_line_and_2(
    predict: Any, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        predict(*arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {message}; --help says more\n"


def test_what_cant_be_is_one_line(predict: Any, tiny_run: Path, images: Path) -> None:
    image, alone = images / "test/red/0000.jpg", shutil.copy(tiny_run / "checkpoints/best.ckpt", "alone.ckpt")
    moved = shutil.copytree(tiny_run, "moved")
    (Path(moved) / "predictions.parquet").write_text("nothing")
    old = shutil.copytree(tiny_run, "old")
    (Path(old) / "predictions.parquet").unlink()
    for arguments, message in (
        (["nowhere", image], "there is no nowhere: name the folder of a run"),
        ([tiny_run, "nowhere.jpg"], "there is no nowhere.jpg"),
        ([tiny_run, image, "--output", "a.xls"], "has to end in"),
        ([tiny_run, images / "test", "--copy-to", images / "test/sorted"], "the copies would be read the next time"),
        ([alone, image, "--calibrated"], "--calibrated is for a run's best checkpoint"),
        ([tiny_run / "checkpoints/last.ckpt", image, "--calibrated"], "--calibrated is for a run's best checkpoint"),
        ([moved, image, "--calibrated"], r"moved/predictions\.parquet can't be read"),
        ([old, image, "--calibrated"], "needs the model's validation predictions: there are none in old"),
    ):
        with pytest.raises(SystemExit, match=f"^error: .*{message}") as caught:
            predict(*arguments)
        assert "\n" not in str(caught.value)
    assert not list(Path().glob("predictions*"))
    predict(alone, image)
    assert len(rows_of()) == 1


class Exploit:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("owned"),)


def test_a_strangers_checkpoint_runs_nothing(predict: Any, tiny_run: Path, images: Path) -> None:
    torch.save({"hyper_parameters": Exploit()}, "evil.ckpt")
    Path("evil.pkl").write_bytes(pickle.dumps(Exploit()))
    shutil.copytree(tiny_run, "run")
    shutil.copy("evil.ckpt", "run/checkpoints/best.ckpt")
    for place in ("evil.ckpt", "evil.pkl", "run"):
        with pytest.raises(SystemExit, match=r"^error: the checkpoint \S+ can't be read") as caught:
            predict(place, images / "test")
        assert "\n" not in str(caught.value)
    assert not Path("owned").exists()
    assert not list(Path().glob("predictions*"))
