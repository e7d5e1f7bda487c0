"""data=csv: CSV, TSV and Parquet files with a row for each image."""

import csv
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from runs import Train, results

from headstart.images.splits import Splitting
from headstart.images.table import Row, image_table
from project.data.folder import find_images
from project.data.table_file import read_labels


def table(folder: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    """A table with this text, beside two images."""
    for file in ("a.jpg", "b.jpg"):
        (folder / file).touch()
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


def table_of(folder: Path, path: Path, split_folders: bool) -> Path:
    """What the folder's images are, as a CSV in an order of its own."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("label", "path", "split"))
        for image in sorted(folder.rglob("*.jpg"), key=lambda image: (image.name, str(image))):
            first, second = image.relative_to(folder).parts[:2]
            relative = image.relative_to(path.parent)
            writer.writerow((second, relative, first.title()) if split_folders else (first, relative, ""))
    return path


EQUAL = {
    "CSV": ("labels.csv", "path,label\na.jpg,cat\nb.jpg,10\n", "utf-8"),
    "another order": ("labels.csv", "id,label,path\n1,cat,a.jpg\n2,10,b.jpg\n", "utf-8"),
    "Excel's CSV": ("labels.CSV", "path;label\r\na.jpg;cat\r\nb.jpg;10\r\n", "utf-8-sig"),
    "quotes, spaces and empty lines": ("labels.csv", '"path", label\n"a.jpg","cat" \n\n./b.jpg, 10\n', "utf-8"),
    "TSV": ("labels.tsv", "path\tlabel\tnotes\na.jpg\tcat\tone, two\nb.jpg\t10\t\n", "utf-8"),
    "an image twice": ("labels.csv", "path,label\na.jpg,cat\nb.jpg,10\na.jpg,cat\n", "utf-8"),
}


@pytest.mark.parametrize(("name", "text", "encoding"), EQUAL.values(), ids=EQUAL)
def test_tables_of_any_kind(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    rows = read_labels(table(tmp_path, text, name, encoding))
    assert rows == [Row(f"{tmp_path}/a.jpg", "cat"), Row(f"{tmp_path}/b.jpg", "10")]


def test_parquet_with_numbers_and_gaps_gives_the_same(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table(tmp_path, "")
    columns = {"path": ["a.jpg", "b.jpg"], "label": [3.0, 12.0], "split": [None, "VALID"], "who": ["Ann", None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "labels.parquet")
    rows = read_labels(tmp_path / "labels.parquet", group_column="who")
    assert rows == [Row(f"{tmp_path}/a.jpg", "3", None, "Ann"), Row(f"{tmp_path}/b.jpg", "12", "val", None)]
    many = {"path": ["a.jpg"] * 70_001, "label": [*["cat"] * 70_000, None]}  # more than are read at a time
    parquet.write_table(pyarrow.table(many), tmp_path / "labels.parquet")
    with pytest.raises(ValueError, match=r"^row 70002 of .*labels\.parquet has no label"):
        read_labels(tmp_path / "labels.parquet")


def test_splits_in_any_case_and_columns_of_any_name(tmp_path: Path) -> None:
    text = "file,species,part,patient\na.jpg,cat,Train,7\nb.jpg,dog,VALIDATION,\n"
    rows = read_labels(table(tmp_path, text), "file", "species", "part", "patient")
    assert rows == [Row(f"{tmp_path}/a.jpg", "cat", "train", "7"), Row(f"{tmp_path}/b.jpg", "dog", "val", None)]


MISTAKES = {
    "a label column of another name": (
        "path,lable\na.jpg,cat\n",
        r"has no column label \(data\.label_column\); did you mean lable\? its first row has: path, lable$",
    ),
    "an empty file": ("", "has no column path .*its first row has: none$"),
    "an empty label": ("path,label\na.jpg,cat\nb.jpg, \n", r"^row 3 of .*labels\.csv has no label"),
    "an empty path": ("path,label\n,cat\n", r"^row 2 of .*labels\.csv has no path"),
    "an unknown split": (
        "path,label,split\na.jpg,cat,trian\n",
        "^row 2 of .* 'trian' is no split; there are",
    ),
    "a comma without quotes": ("path,label\na.jpg,cat, fat\n", "^row 2 of .* has 3 fields, and there are 2 columns"),
    "two labels": ("path,label\na.jpg,cat\n./a.jpg,dog\n", r"^rows 2 and 3 of .* differ about \./a\.jpg"),
    "two splits": ("path,label,split\na.jpg,cat,train\na.jpg,cat,test\n", "^rows 2 and 3 of .* differ about a"),
    "one file missing": (
        "path,label\na.jpg,cat\nc.jpg,cat\n",
        r"^there is no file .*/c\.jpg \(row 3 of .*\)",
    ),
    "all missing": (
        "path,label\nx/a.jpg,1\nx/b.jpg,1\nx/c.jpg,1\n",
        r"\(row 2 of .*\), and 2 more of 3 files",
    ),
    "bytes that are no text": (
        "path,label\na.jpg,cat\nb.jpg,\udcff\n",
        "^row 3 of .* can't be read as text in UTF-8: save it as such",
    ),
    "bytes of UTF-16 without its mark": ("p\0a\0t\0h\0,\0l\0a\0b\0e\0l\0\n\0", "can't be read as text in UTF-8: save"),
    "a quote that isn't closed": (
        'path,label,notes\na.jpg,cat,\nb.jpg,cat,"12 inch\na.jpg,dog,\n',
        "^row 3 of .* \\(unexpected end of data\\): a quote inside quotes is written twice, a stray one has to go$",
    ),
    "two quotes that swallow a row": (
        'path,label,notes\na.jpg,cat,"12 inch\nb.jpg,dog,\na.jpg,cat,12"\n',
        "^row 2 of .* has 3 lines in one field, with the image b.jpg in it: remove a stray quote",
    ),
    "a quote with text behind it": ('path,label,notes\na.jpg,cat,"5" wide\n', "^row 2 of .* a stray one has to go$"),
    "a column twice": ("path,label, label\na.jpg,cat,dog\n", r"has 2 columns label \(data\.label_column\): rename"),
    "too few fields": (
        "path,label\na.jpg\n",
        "^row 2 of .* has 1 fields, .*: fill in what is missing, or remove the row",
    ),
    "a number in two ways": ("path,label\na.jpg,7\nb.jpg,007\n", "has the labels 007 and 7, which are one number"),
    "one image, named in two ways": ("path,label\na,cat\n.\\a.jpg,dog\n", "^rows 2 and 3 of .* differ about"),
    "an id that lost its zeros": ("path,label\n7,cat\n", r"/7 \(row 2 of .*: an image there is a\.jpg; paths start"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = table(tmp_path, "")
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=message) as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*labels\.csv \(data\.path\)"):
        read_labels(tmp_path / "labels.csv")
    with pytest.raises(ValueError, match=r"must be CSV, TSV or Parquet"):
        read_labels(table(tmp_path, "", "labels.xlsx"))
    with pytest.raises(ValueError, match=r"can't be read as Parquet"):
        read_labels(table(tmp_path, "no Parquet", "labels.parquet"))


def test_a_named_split_column_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no column part \(data\.split_column\)"):
        read_labels(table(tmp_path, "path,label\na.jpg,cat\n"), split_column="part")


@pytest.mark.parametrize("split_folders", [True, False])
def test_a_table_of_a_folders_images_gives_the_folders_samples(tmp_path: Path, split_folders: bool) -> None:
    for split in ("train", "val", "test") if split_folders else ("",):
        for name in ("1", "2", "10"):
            for i in range(20):
                file = tmp_path / split / name / ("deep/er" if i % 3 == 0 else "") / f"{i}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
    found = find_images(tmp_path, Splitting(0.1, 0.2, 3))
    rows = read_labels(table_of(tmp_path, tmp_path / "labels.csv", split_folders))
    assert found.classes == ("1", "2", "10")
    assert image_table(rows, Splitting(0.1, 0.2, 3), "there") == replace(found, ignored={})


def test_a_run_on_a_table_computes_no_feature_of_the_folders_images_again(
    train: Train, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(images, tmp_path / "copy"))
    train(f"data.root={copy}", "hydra.run.dir=logs/runs/folder")
    path = table_of(copy, tmp_path / "labels.csv", split_folders=True)
    train("data=csv", f"data.path={path}", "hydra.run.dir=logs/runs/table")
    assert re.findall(r"(\d+) of them computed now", capsys.readouterr().out) == ["80", "0"]
    of_folder, of_table = (results(Path("logs/runs") / name) for name in ("folder", "table"))
    assert of_table["metrics"] == of_folder["metrics"]
