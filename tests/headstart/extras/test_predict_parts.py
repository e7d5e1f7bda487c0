"""The parts of predict.py: which files are meant, calibration, tables, copies."""

import csv
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from headstart.errors import UserError
from headstart.extras.serving.calibration import HIGHEST, at_temperature, fit_temperature
from headstart.extras.serving.copies import Copies, class_folders, refuse_inside
from headstart.extras.serving.image_files import find_images
from headstart.extras.serving.rows import Row, columns_of, place_for, writing


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@pytest.mark.usefixtures("workdir")
class TestFindImages:
    def test_files_folders_and_globs_in_the_order_in_which_they_are_named(self) -> None:
        touch("b/2.JPG", "b/1.png", "b/deep/3.webp", "b/notes.txt", "b/raw.heic", "a.jpg", "no ending", "c/4.jpg")
        touch("b/.hidden.jpg", "b/.thumbs/5.jpg", "b/@eaDir/6.jpg", "b/._1.png")
        assert find_images(["no ending", "b", "a.jpg"]) == [
            "no ending", "b/1.png", "b/2.JPG", "b/deep/3.webp", "b/raw.heic", "a.jpg",
        ]  # fmt: skip
        assert find_images(["*/*.jpg", "b/*"]) == ["c/4.jpg", "b/1.png", "b/2.JPG", "b/raw.heic", "b/deep/3.webp"]
        assert find_images(["**/*.webp"]) == ["b/deep/3.webp"]
        assert find_images(["b/**"]) == ["b/1.png", "b/2.JPG", "b/deep/3.webp", "b/raw.heic"]

    def test_a_file_counts_once_however_it_is_named(self) -> None:
        touch("b/1.jpg", "b/2.jpg")
        Path("link").symlink_to("b")
        names = ["b/2.jpg", "./b/2.jpg", "b", str(Path("b").absolute()), "link/1.jpg", "b/*.jpg", "b/../b/2.jpg"]
        assert find_images(names) == ["b/2.jpg", "b/1.jpg"]

    def test_names_that_no_grammar_likes(self, monkeypatch: pytest.MonkeyPatch, workdir: Path) -> None:
        odd = ["a,b.jpg", "q\"uo'te.jpg", "[x].jpg", "k=v.jpg", "*.jpg", "ü.jpg", os.fsdecode(b"l\xfc.jpg"), "-x.jpg"]
        touch(*odd, "[d]/1.jpg", "x.jpg")
        assert find_images(odd) == odd
        assert find_images(["[d]"]) == ["[d]/1.jpg"]
        monkeypatch.setenv("HOME", str(workdir))
        assert find_images(["~/x.jpg"]) == [str(workdir / "x.jpg")]

    def test_links_that_lead_back_or_nowhere(self) -> None:
        touch("b/1.jpg")
        Path("b/back").symlink_to("..")
        Path("b/gone.jpg").symlink_to("nowhere.jpg")
        assert find_images(["b"]) == ["b/1.jpg", "b/gone.jpg"]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("nowhere.jpg", "there is no nowhere.jpg"),
            ("", "there is no "),
            ("empty", "there is no image in empty"),
            ("*.gif", r"\*.gif matches no image$"),
            ("*.txt", r"\*.txt matches no image, but 1 other files"),
            ("https://example.org/a.jpg", "https://example.org/a.jpg is a URL: download it first"),
            ("s3://a/b.jpg", "is a URL"),
            ("pipe.jpg", "pipe.jpg is neither a file nor a folder"),
        ],
    )
    def test_what_is_no_image(self, name: str, message: str) -> None:
        touch("empty/notes.md", "a.txt", "there.jpg")
        os.mkfifo("pipe.jpg")
        with pytest.raises(UserError, match=message) as caught:
            find_images(["there.jpg", name])
        assert "\n" not in str(caught.value)


def test_probabilities_of_nothing_and_labels_that_say_nothing() -> None:
    sure = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], dtype=np.float32)
    assert fit_temperature(sure, np.array([0, 1, 0])) == 1
    assert fit_temperature(sure, np.array([0, 1, 2])) == pytest.approx(HIGHEST)
    assert np.isfinite(at_temperature(sure, 3.0)).all()


ROWS = [
    Row(os.fsdecode(b'a,"b"\n\xfc=[1].jpg'), ("ä, b", "c"), (0.75, 0.25)),
    Row("b.jpg", error="b.jpg can't be decoded"),
    Row("c.jpg", ("c", "ä, b"), (0.5, 0.4999996), decided=False),
]
WANTED = [
    ['a,"b"\n\\xfc=[1].jpg', "ä, b", 0.75, None, "c", 0.25, "ä, b"],
    ["b.jpg", None, None, "b.jpg can't be decoded", None, None, None],
    ["c.jpg", "unsure", 0.5, None, "ä, b", 0.5, "c"],
]


def read(path: Path) -> list[list[Any]]:
    if path.suffix == ".json":
        return [list(row.values()) for row in json.loads(path.read_text())]
    if path.suffix == ".parquet":
        return [list(row.values()) for row in parquet.read_table(path).to_pylist()]
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return [[float(v) if v[:2] == "0." else v or None for v in row] for row in rows]


def write_all(path: Path, rows: Iterable[Row], columns: list[str]) -> None:
    with writing(path, columns) as write:
        for row in rows:
            write(row.values(columns))


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_a_table_comes_back_as_it_was_written(tmp_path: Path, ending: str) -> None:
    path, columns = tmp_path / "new" / f"a.{ending}", columns_of(2, with_likeliest=True)
    assert columns == ["path", "class", "probability", "error", "class_2", "probability_2", "likeliest"]
    write_all(path, ROWS, columns)
    assert [[pytest.approx(v, abs=1e-6) if isinstance(v, float) else v for v in row] for row in WANTED] == read(path)
    write_all(path, ROWS[:1] * 10_000, columns_of(1))
    assert len(read(path)) == 10_000
    write_all(path, [], columns_of(1))
    assert read(path) == []
    with pytest.raises(AttributeError):
        write_all(path, [ROWS[0], None], columns)  # pyright: ignore[reportArgumentType] (to fail in the middle)
    assert read(path) == []
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.usefixtures("workdir")
def test_where_a_table_goes() -> None:
    assert place_for(None) == Path("predictions.csv")
    touch("predictions.csv", "predictions_2.csv")
    assert place_for(None) == Path("predictions_3.csv")
    assert place_for("predictions.csv") == Path("predictions.csv")
    Path("f.json").mkdir()
    for output, message in ("a.xlsx", r"has to end in \.csv, \.parquet, \.json"), ("f.json", "is a folder"):
        with pytest.raises(UserError, match=message):
            place_for(output)
    touch("file")
    with pytest.raises(UserError, match=r"file/a\.csv can't be written .*choose another --output"):
        write_all(Path("file/a.csv"), [], columns_of(1))


def test_a_classs_folder_is_always_one_in_the_folder() -> None:
    odd = ["cat", "CAT", "a/b", "a_b", "..", ".", "", "../../etc", "/abs", "c:\\x", "nul", "aux.txt", "x" * 300, ".git"]
    names = class_folders(odd)
    assert names["cat"] == "cat"
    assert len({name.casefold() for name in names.values()}) == len(odd)
    for name in names.values():
        assert Path(name).name == name
        assert not name.startswith(".")
        assert len(os.fsencode(name)) < 250
        assert name.lower() not in ("nul", "aux.txt")


@pytest.mark.usefixtures("workdir")
def test_copies_overwrite_nothing() -> None:
    for folder in "abc":
        touch(f"{folder}/1.jpg")
        Path(folder, "1.jpg").write_text(folder)
        os.utime(f"{folder}/1.jpg", (5, 5))
    touch("out/cat/1_2.jpg")
    Path("out/unsure").symlink_to("nowhere")
    copies = Copies(Path("out"), ["cat", "../dog"])
    paths = [copies.add(f"{folder}/1.jpg", "cat") for folder in "abc"]
    assert [(path.name, path.read_text()) for path in paths] == [("1.jpg", "a"), ("1_3.jpg", "b"), ("1_4.jpg", "c")]
    assert paths[0].stat().st_mtime == 5
    assert Path("out/cat/1_2.jpg").read_text() == ""
    assert Copies(Path("out"), ["cat"]).add("a/1.jpg", "cat").name == "1_5.jpg"
    assert copies.add("a/1.jpg", "../dog") == Path("out/_.._dog/1.jpg")
    with pytest.raises(UserError, match=r"gone\.jpg can't be copied into out/cat \(No such file"):
        copies.add("gone.jpg", "cat")
    assert not Path("out/cat/gone.jpg").exists()
    refuse_inside(Path("out"), ["a", "a/1.jpg"])
    for inside in ("a", "a/sorted"):
        with pytest.raises(UserError, match="lies in a, so that the copies would be read the next time"):
            refuse_inside(Path(inside), ["b", "a"])
