"""Tables as people save them: what pandas, or the file itself, says is there is what is read."""

import csv
import io
import logging
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest

from headstart.images.splits import Splitting
from headstart.images.table import image_table
from project.data.table_file import read_labels

NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).touch()


def labels_of(folder: Path, content: str | bytes, name: str = "labels.csv") -> list[str]:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return [row.label for row in read_labels(folder / name)]


def a_row_each(labels: list[str]) -> str:
    return "path,label\n" + "".join(f"{name},{label}\n" for name, label in zip(NAMES, labels, strict=False))


COLUMNS = [["5.0", "5", "12.0", "12"], ["5.0", "5.5", "5.", "0.5"], ["True", "False", "True", "False"]]
COLUMNS += [
    ["1.0", "10.0", "9.0", "2.0"],
    [" cat", "dog ", "cat", "dog"],
    ['"cat"', ' "dog, fat"', "cat", '"dog, fat" '],
]


@pytest.mark.parametrize("labels", COLUMNS)
def test_labels_are_equal_where_those_of_pandas_are(tmp_path: Path, labels: list[str]) -> None:
    pandas = pytest.importorskip("pandas", reason="an extra")
    text = a_row_each(labels)
    column = pandas.read_csv(io.StringIO(text.replace(' "', '"').replace('" ', '"')))["label"]
    expected = [value.strip() if isinstance(value, str) else value for value in column]
    found = labels_of(tmp_path, text)
    assert [found.index(label) for label in found] == [expected.index(value) for value in expected]


VALUES = [[5.0, 12.0, 5.0, 12.0], [True, False, True, False], [1, 10, 9, 2], [0.5, 1.0, 10.0, 2.0]]
VALUES += [["caf\u00e9", "cafe\u0301", "a\u200b", "a"], ["01", "1a", " 10 ", "10"]]


@pytest.mark.parametrize("values", VALUES)
def test_csv_and_parquet_of_a_table_are_the_same(tmp_path: Path, values: list) -> None:
    pandas = pytest.importorskip("pandas", reason="an extra")
    frame = pandas.DataFrame({"label": values, "path": NAMES, "split": [None, "train", "Train ", float("nan")]})
    frame.to_csv(tmp_path / "labels.csv")  # with a column of row numbers, which has no name
    frame.to_parquet(tmp_path / "labels.parquet")
    of_csv, of_parquet = (
        image_table(read_labels(tmp_path / f"labels.{ending}"), Splitting(0, 0), "x") for ending in ("csv", "parquet")
    )
    assert of_csv == of_parquet
    assert sum(len(of_csv.part(split)) for split in ("train", "val", "test")) == 4


def test_labels_that_cannot_be_told_apart_are_one_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for one, other in pairwise(
        ["a\u0308 b", "\u00e4 b", "\u00e4\u00a0b", "\u00e4\u200b  b\u200d", "\ufeff\u00e4 \u00adb"]
    ):
        found = labels_of(tmp_path, a_row_each([one, other]))
        assert found == [unicodedata.normalize("NFC", "\u00e4 b")] * 2
    family = "\U0001f468\u200d\U0001f469"  # which a joiner makes one of two
    assert labels_of(tmp_path, a_row_each([family])) == [family]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert labels_of(tmp_path, a_row_each(["Cat", "cat"])) == ["Cat", "cat"]  # letters may well be classes
    assert "labels that differ in the case of letters, or less: Cat and cat" in caplog.text


def test_what_pandas_takes_for_missing_is_missing(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="an extra")
    words = [
        "nan",
        "NaN",
        "None",
        "NULL",
        "null",
        "NA",
        "N/A",
        "n/a",
        "<NA>",
        "#N/A",
        "",
        "none",
        "missing",
        "0",
        "False",
    ]
    for word in words:
        text = a_row_each(["cat", word])
        if pandas.read_csv(io.StringIO(text))["label"].isna()[1]:
            with pytest.raises(ValueError, match=r"^row 3 of .*labels\.csv has no label"):
                labels_of(tmp_path, text)
        else:
            assert labels_of(tmp_path, text) == ["cat", word]
    (tmp_path / "labels.csv").write_text("path,label,split,who\na.jpg,cat,nan,nan\n")
    (row,) = read_labels(tmp_path / "labels.csv", group_column="who")
    assert (row.split, row.group) == (None, None)


TEXT = "path,label,notes\na.jpg,caf\u00e9,\nb.jpg,dog,\n"
ENCODED = {
    "UTF-16": TEXT.encode("utf-16"),  # Excel's "Unicode text"
    "a mark, and one from another file": "\ufeff\ufeffpath,label\na.jpg,caf\u00e9\n\ufeffb.jpg,dog\n".encode(),
    "old Macs' lines": TEXT.replace("\n", "\r").encode(),
    "a tab in a .csv": TEXT.replace(",", "\t").encode(),
    "a bar": TEXT.replace(",", "|").encode(),
    "Excel's own first line": b"sep=;\r\n" + TEXT.replace(",", ";").replace("\n", "\r\n").encode(),
    "semicolons, and commas in the header": TEXT.replace(",", ";").replace("notes", "a, b, c").encode(),
    "empty rows": b"\n" + TEXT.replace("\nb", "\n,,\n , , \n\nb").encode(),
    "a note of several lines": TEXT.replace("\u00e9,", '\u00e9,"so, and so,\nand ""so"""').encode(),
}


@pytest.mark.parametrize("content", ENCODED.values(), ids=ENCODED)
def test_text_as_programs_write_it(tmp_path: Path, content: bytes) -> None:
    assert labels_of(tmp_path, content) == ["caf\u00e9", "dog"]


def test_a_note_may_hold_what_csv_writes(tmp_path: Path) -> None:
    notes = ['12"', '"', "a\nb", 'x"\r\n,"y', "\t;|", "'", "\\", '" '] * 3
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path", "label", "n"), *((f"{i}.png", "cat", note) for i, note in enumerate(notes))]
        )
    for number in range(len(notes)):
        (tmp_path / f"{number}.png").touch()
    assert len(read_labels(tmp_path / "labels.csv")) == len(notes)


def test_files_are_found_as_they_are_called(tmp_path: Path) -> None:
    decomposed, composed = tmp_path / "cafe\u0301", "caf\u00e9"
    decomposed.mkdir()
    for name in ("0001.jpg", "x.PNG", "two.jpg", "two.png", "a\u0308.webp"):
        (decomposed / name).touch()
    (tmp_path / "0001").mkdir()
    names = [f"{composed}/0001.jpg", f"{composed}\\x.png", f"{composed}/\u00e4", f"\u202a{composed}/two.jpg"]
    text = "path,label\n" + "".join(f"{name},cat\n" for name in names)
    (tmp_path / "labels.csv").write_text(text)
    found = [Path(row.path) for row in read_labels(tmp_path / "labels.csv")]
    assert found == [decomposed / name for name in ("0001.jpg", "x.PNG", "a\u0308.webp", "two.jpg")]
    (tmp_path / "labels.csv").write_text("id,label\n0001,cat\nx,dog\n")
    with pytest.raises(ValueError, match=rf"no file .*/0001 .*: did you mean data\.root={decomposed}\?"):
        read_labels(tmp_path / "labels.csv", "id")
    assert [Path(row.path).name for row in read_labels(tmp_path / "labels.csv", "id", root=decomposed)] == [
        "0001.jpg",
        "x.PNG",
    ]
    (tmp_path / "labels.csv").write_text("id,label\ntwo,cat\n")
    with pytest.raises(ValueError, match=r"no file .*/two .*: did you mean two\.(jpg|png) or two\.(jpg|png)\?"):
        read_labels(tmp_path / "labels.csv", "id", root=decomposed)


def test_values_that_are_no_text_are_refused(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    for labels, message in (
        ([["cat"]], "^row 2 of .* has a list as label: it must be one text"),
        ([{"a": 1}], "a dict as label"),
    ):
        parquet.write_table(pyarrow.table({"path": ["a.jpg"], "label": labels}), tmp_path / "labels.parquet")
        with pytest.raises(ValueError, match=message):
            read_labels(tmp_path / "labels.parquet")
    columns = {" path ": [b"a.jpg"], "label": pyarrow.array(["cat"]).dictionary_encode()}
    parquet.write_table(pyarrow.table(columns), tmp_path / "labels.parquet")
    assert [row.label for row in read_labels(tmp_path / "labels.parquet")] == ["cat"]
