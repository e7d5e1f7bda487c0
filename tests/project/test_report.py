"""report.html: of any run, whatever has become of it, and whatever its classes are called."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from run_folders import ODD, a_run
from runs import ROOT, Train, results, signal_at

from headstart.predictions import Predictions
from project.reporting.predictions import write_predictions
from project.reporting.report.comparison import write_comparison
from project.reporting.report.page import write_report
from project.reporting.run_folder import RunFolder

WITHOUT_END = {"meta", "img", "br", "link", "hr", "input", "path", "use", "rect", "image"}
HOSTILE = "<b>$x_1$</b> [red]"


class Read(HTMLParser):
    """The text of a page, its titles, and the elements and addresses in it; fails for elements that cross."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.titles: list[str] = []
        self.elements: set[str] = set()
        self.addresses: list[str] = []
        self.feed(page.read_text())
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in WITHOUT_END or tag in ("path", "use", "rect", "image"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)


def test_names_and_values_may_be_anything(tmp_path: Path) -> None:
    image = tmp_path / "<i>&'\".jpg"
    Image.new("RGB", (20, 30)).save(image)
    names = [*ODD, "<script>alert(1)</script>"]
    a_run(tmp_path, names, path=str(image))
    content = results(tmp_path) | {"command": f"python train.py 'head.x={HOSTILE}'", "samples": [[str(image), 0]]}
    (tmp_path / "results.json").write_text(json.dumps(content))
    (tmp_path / "doctor.csv").write_text(
        f"path,split,kind,given,suggested,score,action\n{image},train,label,<u>,{HOSTILE},1,\n"
    )
    page = Read(write_report(RunFolder(tmp_path)))
    assert not {"script", "b", "u", "i", "iframe", "link"} & page.elements
    assert all(address.startswith(("#", "data:image/")) for address in page.addresses)
    assert len([text for text in page.texts if HOSTILE in text]) > 3
    assert "<script>alert(1)</script>" in page.texts
    wanted = ["Learning curves", "Confusions", "Classes", "Mistakes", "Probabilities", "Images", "Doctor", "Config"]
    assert page.titles == wanted


def test_secrets_of_the_environment_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "abcdef123456")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/config.yaml").write_text("data: {url: 'https://me:hunter2@x', key: abcdef123456}")
    (tmp_path / "results.json").write_text(
        json.dumps({"status": "failed", "command": "train x=abcdef123456", "error": "no"})
    )
    text = write_report(RunFolder(tmp_path)).read_text()
    assert "***" in text
    assert not re.search("abcdef123456|hunter2", text)


def test_of_an_older_run_there_is_its_matrix_and_its_curve(tmp_path: Path) -> None:
    content = {
        "status": "finished",
        "classes": ["a", "b"],
        "confusion_matrix": [[5, 1], [0, 4]],
        "metrics": {"test/loss": 1},
    }
    (tmp_path / "results.json").write_text(json.dumps(content))
    (tmp_path / "metrics.csv").write_text("epoch,train/loss\n0,2\n")
    assert Read(write_report(RunFolder(tmp_path))).titles == ["Metrics", "Learning curves", "Confusions", "Classes"]


def test_runs_are_compared(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two")):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        a_run(tmp_path / name, ["a", HOSTILE])
        (tmp_path / name / ".hydra/config.yaml").write_text(f"seed: {number}\nhead: {{same: 1}}\n")
    page = Read(write_comparison([tmp_path / "one", tmp_path / "two"], tmp_path / "comparison.html"))
    assert page.titles == ["Metrics", "Config", "Learning curves", "F1 by class"]
    assert "seed" in page.texts
    assert "head.same" not in page.texts
    assert HOSTILE in page.texts


def test_many_classes_and_images_make_a_small_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes, images = 1000, 3000
    found = Predictions(("",) * images, torch.randint(classes, (images,)), torch.rand(images, classes))
    names = [f"the class number {number}" for number in range(classes)]
    (tmp_path / "results.json").write_text(json.dumps({"classes": names, "images": {"train": [3] * classes}}))
    write_predictions(tmp_path, {"test": found}, names)
    monkeypatch.setattr(RunFolder, "probabilities", lambda *_: pytest.fail("those of all classes are read"))
    assert write_report(RunFolder(tmp_path)).stat().st_size < 1_000_000


@pytest.mark.slow
def test_a_run_has_one_and_maps_of_its_mistakes(train: Train) -> None:
    (run_dir,) = train("plots=auto", "logger=none", "trainer.max_epochs=1")  # of the strongest penalty: some are wrong
    page = Read(run_dir / "report.html")
    assert {"Metrics", "Mistakes", "Images", "Config", "Time and machine"} <= set(page.titles)
    matrix = results(run_dir)["confusion_matrix"]
    wrong = 20 - sum(row[number] for number, row in enumerate(matrix))
    assert len(list(run_dir.glob("saliency/*.jpg"))) == min(wrong, 12) > 0
    assert f"{wrong} of 20 test images are wrong" in " ".join(page.texts)


@pytest.mark.slow
def test_a_run_that_fails_says_why(train: Train, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="lr=-1"):
        train("plots=auto", "model.lr=-1", "hydra.run.dir=mistake", "logger=none")
    assert results(workdir / "mistake")["status"] == "failed"
    assert results(workdir / "mistake")["error"] in Read(workdir / "mistake/report.html").texts
    monkeypatch.setattr("project.main.fit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train("plots=auto", "hydra.run.dir=bug", "logger=none")
    page = Read(workdir / "bug/report.html")
    assert page.titles[0] == "What went wrong"
    assert "ZeroDivisionError: division by zero" in page.texts


@pytest.mark.slow
def test_a_run_that_is_interrupted_has_one(train: Train, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, epoch=1, batch=0)
    with pytest.raises(SystemExit):
        train("plots=auto", "hydra.run.dir=run", "logger=none", "head=mlp")
    assert Read(workdir / "run/report.html").titles[:2] == ["Interrupted", "Learning curves"]


@pytest.mark.slow
def test_a_report_that_fails_is_a_warning(
    train: Train, workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("project.reporting.report.page.made", lambda *_: 1 / 0)
    train("plots=auto", "hydra.run.dir=run", "logger=none")
    assert results(workdir / "run")["status"] == "finished"
    assert (
        "is without its report, and whole but for that (ZeroDivisionError: division by zero)" in capsys.readouterr().out
    )
    monkeypatch.setattr("project.main.fit", lambda *_: [][0])
    with pytest.raises(IndexError):
        train("plots=auto", "hydra.run.dir=bug", "logger=none")


@pytest.mark.slow
def test_the_script_writes_it_anew(cli: Any, workdir: Path) -> None:
    for name in ("a", "b"):
        (workdir / "sweep" / name).mkdir(parents=True)
        a_run(workdir / "sweep" / name, ["a", "b"])
    done = cli("scripts/report.py", "sweep")
    assert done.returncode == 0, done.stderr
    assert [Path(line).name for line in done.stdout.split()] == [
        "history.png",
        "confusion_matrix.png",
        "report.html",
    ] * 2
    assert cli("scripts/report.py", "sweep/a", "sweep/b").stdout.strip() == str(Path("logs/comparison.html"))
    assert (workdir / "logs/comparison.html").exists()
    assert "no folder of a run" in cli("scripts/report.py", str(ROOT / "conf")).stderr
