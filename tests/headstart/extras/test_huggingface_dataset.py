"""data=huggingface: local data sets that the tests make, and a Hub that can't be reached or answers."""

import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.utils import instantiate
from PIL import Image
from runs import composed

from headstart.errors import UserError
from headstart.extras.huggingface.dataset import read_huggingface
from headstart.images.decoding import read_image
from headstart.images.splits import Splitting
from headstart.images.stored import EncodedImage, store_once
from headstart.images.table import ImageTable, Row, image_table

datasets = pytest.importorskip("datasets", reason="an extra")
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: Patch) -> None:
    """What `datasets` keeps ends up below the test's folder; and its bars are shown nowhere."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


def encoded(value: int, kind: str = "PNG") -> bytes:
    buffer = BytesIO()
    Image.new("L", (8, 8), value).save(buffer, kind)
    return buffer.getvalue()


def made(first: int, count: int, **others: Any) -> Any:
    """A split of images whose grey value is their number; of dogs, it is odd."""
    numbers = range(first, first + count)
    columns = {
        "image": [{"bytes": encoded(i), "path": None} for i in numbers],
        "label": [i % 2 for i in numbers],
    }
    names = datasets.ClassLabel(names=["wolf", "dog"])
    features = {"image": datasets.Image(), "label": names} | {name: feature for name, (feature, _) in others.items()}
    values = columns | {name: values for name, (_, values) in others.items()}
    return datasets.Dataset.from_dict(values, features=datasets.Features(features))


def found(name: str | Path, tmp_path: Path, **columns: str) -> ImageTable:
    rows = read_huggingface(str(name), tmp_path / "written", **columns)
    return image_table(rows, Splitting(0.2, 0.2), "there")


def values(table: ImageTable, split: str) -> dict[int, str]:
    """The class of every image, by its grey value."""
    samples = getattr(table, split)
    return {int(read_image(path)[0, 0, 0]): table.classes[label] for path, label in samples}


def class_of(numbers: range) -> dict[int, str]:
    return {i: ("wolf", "dog")[i % 2] for i in numbers}


@pytest.mark.parametrize("val", ["validation", "dev"])
def test_a_saved_data_set_keeps_its_splits(tmp_path: Path, val: str) -> None:
    parts = {"train": made(0, 12), val: made(20, 4), "test": made(30, 6), "extra": made(40, 2)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    table = found(tmp_path / "saved", tmp_path)
    assert table.classes == ("dog", "wolf")
    assert values(table, "train") == class_of(range(12))
    assert values(table, "val") == class_of(range(20, 24))
    assert values(table, "test") == class_of(range(30, 36))


def test_encoded_images_are_written_as_they_are_and_once(tmp_path: Path, monkeypatch: Patch) -> None:
    (tmp_path / "set").mkdir()
    made(0, 20).to_parquet(tmp_path / "set" / "train.parquet")
    first = found(tmp_path / "set", tmp_path)
    assert [len(first.train), len(first.val), len(first.test)] == [12, 4, 4]  # what is missing is cut
    files = sorted((tmp_path / "written").rglob("*.png"))
    assert [file.read_bytes() for file in files] == [encoded(i) for i in range(20)]
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "load_dataset", None)  # not needed any more
        assert found(tmp_path / "set", tmp_path) == first
    made(0, 30).to_parquet(tmp_path / "set" / "train.parquet")
    assert len(found(tmp_path / "set", tmp_path).train) == 18


def test_files_are_used_where_they_lie(tmp_path: Path) -> None:
    for i in range(20):
        path = tmp_path / "set" / ("wolf", "dog")[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(i, "JPEG"))
    table = found(tmp_path / "set", tmp_path)
    samples = (*table.train, *table.val, *table.test)
    assert {Path(path).parent.name for path, label in samples if table.classes[label] == "dog"} == {"dog"}
    assert {path for path, _ in samples} == {str(path) for path in (tmp_path / "set").rglob("*.jpg")}


def test_a_file_of_two_classes_is_refused_and_one_listed_twice_counts_once(tmp_path: Path) -> None:
    image = tmp_path / "0.png"
    image.write_bytes(encoded(0))
    wolf, dog = EncodedImage(str(image), "wolf"), EncodedImage(str(image), "dog")
    assert store_once(tmp_path / "same", [wolf, wolf], 2) == [Row(str(image), "wolf")]
    with pytest.raises(UserError, match=r"0\.png has several classes or splits"):
        store_once(tmp_path / "different", [wolf, dog], 2)


def test_rows_without_label_or_image_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = made(0, 12)
    holes = train.to_dict()
    holes["label"][3] = holes["image"][4] = None
    train = datasets.Dataset.from_dict(holes, features=train.features)
    unlabelled = made(20, 4).to_dict() | {"label": [-1] * 4}
    test = datasets.Dataset.from_dict(unlabelled, features=train.features)
    datasets.DatasetDict(train=train, test=test).save_to_disk(tmp_path / "saved")
    table = found(tmp_path / "saved", tmp_path)
    assert values(table, "train") | values(table, "val") | values(table, "test") == {
        i: name for i, name in class_of(range(12)).items() if i not in (3, 4)
    }
    assert "6 rows of" in caplog.text


def test_columns_are_found_by_type_and_chosen_by_name(tmp_path: Path) -> None:
    words = datasets.Value("string"), ["even", "odd"] * 6
    coarse = datasets.ClassLabel(names=["a", "b", "c"]), [i % 3 for i in range(12)]
    thumbnail = datasets.Image(), [{"bytes": encoded(99), "path": None}] * 12
    made(0, 12, words=words, coarse=coarse).save_to_disk(tmp_path / "one")
    assert found(tmp_path / "one", tmp_path).classes == ("dog", "wolf")
    assert found(tmp_path / "one", tmp_path, label_column="coarse").classes == ("a", "b", "c")
    assert found(tmp_path / "one", tmp_path, label_column="words").classes == ("even", "odd")
    made(0, 12, thumbnail=thumbnail).save_to_disk(tmp_path / "two")
    with pytest.raises(UserError, match=r"Set data\.image_column=\.\.\.; there are image, thumbnail$"):
        found(tmp_path / "two", tmp_path)
    assert 99 not in values(found(tmp_path / "two", tmp_path, image_column="image"), "train")
    made(0, 12, coarse=coarse).rename_column("label", "fine").save_to_disk(tmp_path / "three")
    with pytest.raises(UserError, match=r"Set data\.label_column=\.\.\.; there are fine, coarse$"):
        found(tmp_path / "three", tmp_path)
    with pytest.raises(UserError, match=r"no column corse \(data\.label_column\); did you mean coarse\?"):
        found(tmp_path / "three", tmp_path, label_column="corse")


@pytest.mark.parametrize(("kind", "given"), [("string", ["x", "y"]), ("int64", [2, 10])])
def test_labels_that_are_words_or_numbers(tmp_path: Path, kind: str, given: list) -> None:
    plain = made(0, 12).remove_columns("label").add_column("Label", given * 6, feature=datasets.Value(kind))
    plain.save_to_disk(tmp_path / "saved")
    assert found(tmp_path / "saved", tmp_path).classes == tuple(map(str, given))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("left", "right"), "has the splits left, right, and none is called train"),
        (("train", "val", "dev"), "has several val splits among train, val, dev: it must be one"),
    ],
)
def test_splits_that_nobody_can_guess(tmp_path: Path, splits: tuple[str, ...], message: str) -> None:
    datasets.DatasetDict({split: made(0, 4) for split in splits}).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match=message):
        found(tmp_path / "saved", tmp_path)


def test_a_folder_of_something_else_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.xyz").touch()
    with pytest.raises(UserError, match=r"the data set .*/set can't be read") as caught:
        found(tmp_path / "set", tmp_path)
    assert "\n" not in str(caught.value)


def hub(answer: str | Exception) -> Callable[[], SimpleNamespace]:
    """An HfApi that knows one commit, or can't be asked."""

    def dataset_info(*_: Any, **__: Any) -> SimpleNamespace:
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(sha=answer)

    return lambda: SimpleNamespace(dataset_info=dataset_info)


def test_of_the_hub_a_commit_is_taken_and_used_without_a_network_later(
    tmp_path: Path, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[tuple] = []

    def load(*arguments: Any, **options: Any) -> Any:
        asked.append((arguments, options))
        return datasets.DatasetDict(train=made(0, 12), test=made(20, 4))

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr("huggingface_hub.HfApi", hub("c0ffee"))
    first = found("some/dogs", tmp_path, config="small")
    assert asked == [(("some/dogs", "small"), {"revision": "c0ffee"})]
    monkeypatch.setattr("huggingface_hub.HfApi", hub(OSError("no route to host")))
    assert found("some/dogs", tmp_path, config="small") == first
    assert "the Hub can't be reached (OSError: no route to host): some/dogs is taken as" in caplog.text
    with pytest.raises(UserError, match=r"the data set some/dogs can't be fetched, and was never before .*no route"):
        found("some/dogs", tmp_path)
    assert len(asked) == 1


def test_a_name_that_the_hub_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the Hub has no data set .* for us, and there is no folder"):
        found("./nowhere/at all", tmp_path)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install -e \.\[huggingface\]"):
        found(tmp_path, tmp_path)


def test_the_config_reaches_it(tmp_path: Path) -> None:
    made(0, 20).save_to_disk(tmp_path / "saved")
    data = instantiate(composed("data=huggingface", f"data.name={tmp_path}/saved", f"data_dir={tmp_path}/data").data)
    data.setup()
    assert data.table.classes == ("dog", "wolf")
