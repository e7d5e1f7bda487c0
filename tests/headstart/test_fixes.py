"""What data.fixes changes of a table, and what it refuses."""

from pathlib import Path

import pytest

from headstart.errors import UserError
from headstart.images.fixes import apply_fixes
from headstart.images.splits import Splitting
from headstart.images.table import ImageTable, Row, image_table

HEADER = "path,split,kind,given,suggested,score,action,note\n"


@pytest.fixture
def table() -> ImageTable:
    """Two images each of cat and [dog] for training, one for test; they need not be there to be relabelled."""
    rows = [
        Row(f"/set/{split}/{label}/{number}.jpg", label, split)
        for split, count in (("train", 2), ("test", 1))
        for label in ("cat", "[dog]")
        for number in range(count)
    ]
    return image_table(rows, Splitting(0, 0), "here")


def fixes(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "my doctor.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return path


def test_labels_change_in_place_and_dropped_images_are_gone(table: ImageTable, tmp_path: Path) -> None:
    file = fixes(
        tmp_path,
        "/set/train/cat/0.jpg,train,label,cat,[dog],0.1,relabel,",
        "/set/test/cat/0.jpg,test,outlier,cat,,1.5, Drop ,",
        "/set/train/cat/1.jpg,train,label,cat,[dog],0.2,keep,",
        "/set/nowhere/1.jpg,train,label,cat,[dog],0.2,,",  # of no consequence
        "/set/train/[dog]/1.jpg,train,label,cat,[dog],0.2,relabel,",  # which it is already
    )
    fixed = apply_fixes(table, file)
    assert fixed.fixes == {"relabelled": 1, "dropped": 1}
    assert [sample.path for sample in fixed.train] == [sample.path for sample in table.train]
    changed = [sample.path for one, sample in zip(table.train, fixed.train, strict=True) if one != sample]
    assert changed == ["/set/train/cat/0.jpg"]
    assert [fixed.classes[sample.label] for sample in fixed.train] == ["[dog]", "[dog]", "[dog]", "cat"]
    assert [sample.path for sample in fixed.test] == ["/set/test/[dog]/0.jpg"]
    assert str(fixed).endswith("; data.fixes: 1 relabelled; 1 dropped")
    assert apply_fixes(table, None) is table


def test_a_spreadsheets_own_ideas_of_a_csv_are_read(table: ImageTable, tmp_path: Path) -> None:
    file = tmp_path / "doctor.csv"
    file.write_text("\ufeffaction;path;suggested\r\nDROP;/set/train/cat/0.jpg;\r\n", encoding="utf-8")
    assert apply_fixes(table, file).fixes == {"relabelled": 0, "dropped": 1}


def test_images_that_have_moved_together_are_found(tmp_path: Path) -> None:
    def at(top: str) -> ImageTable:
        rows = [Row(f"{top}/{label}/{number}.jpg", label) for label in "ab" for number in range(2)]
        return image_table(rows, Splitting(0, 0), "here")

    file = fixes(tmp_path, "/old/set/a/1.jpg,,label,a,b,0,relabel,", "/old/set/b/1.jpg,,label,b,a,0,relabel,")
    assert apply_fixes(at("/new"), file).fixes["relabelled"] == 2
    file = fixes(tmp_path, "/old/a/1.jpg,,label,a,b,0,relabel,", "/other/b/1.jpg,,label,b,a,0,relabel,")
    with pytest.raises(UserError, match=r"^row 3 of .*my doctor.csv: /other/b/1.jpg isn't among the images"):
        apply_fixes(at("/new"), file)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("/set/train/cat/7.jpg,train,label,cat,[dog],0.1,relabel,", r"^row 2 of .*csv: /set/train/cat/7.jpg isn't am"),
        ("/set/train/cat/0.jpg,train,label,cat,[dog],0.1,mend,", r"^row 2 of .*: 'mend' is no action; write relabel,"),
        ("/set/train/cat/0.jpg,train,label,cat,[dgo],0,relabel,", r"^row 2 .*no class '\[dgo\]'; did you mean \[dog\]"),
        ("/set/train/cat/0.jpg,train,label,cat,,0.1,relabel,", r"^row 2 .*: name the right class in the column sugges"),
        ("/set/train/cat/0.jpg,train,label", r"^row 2 of .*csv has 3 fields, and there are 8 columns"),
        ('/set/train/cat/0.jpg,"train"x,l,c,,0,drop,', r"^row 2 of .*csv can't be read as CSV .*: mend its quotes"),
    ],
)
def test_a_row_that_means_nothing_is_named(table: ImageTable, tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        apply_fixes(table, fixes(tmp_path, row))


def test_a_file_or_all_its_rows_are_refused(table: ImageTable, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^.*/none.csv can't be read \(No such file or directory; data.fixes\)"):
        apply_fixes(table, tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"has no column suggested; action \(data.fixes\); its first row has path, to"):
        apply_fixes(table, fixes(tmp_path, header="path,to\n"))
    row = "/set/train/cat/0.jpg,train,label,cat,[dog],0.1,{},"
    with pytest.raises(UserError, match=r"^rows 2 and 3 of .* differ about /set/train/cat/0.jpg: decide"):
        apply_fixes(table, fixes(tmp_path, row.format("relabel"), row.format("drop")))
    all_cats = [f"/set/train/cat/{number}.jpg,train,label,cat,,0,drop," for number in range(2)]
    with pytest.raises(UserError, match=r"leaves no training image of class 'cat' \(data.fixes\): keep one"):
        apply_fixes(table, fixes(tmp_path, *all_cats))
