import logging
import random
from collections import Counter
from pathlib import Path

import pytest

from headstart.images.splits import Splitting
from headstart.images.table import ImageTable, Row, image_table

SPLITS = ("train", "val", "test")


def rows(split: str | None = None, **counts: int) -> list[Row]:
    return [Row(f"{split}/{label}/{i:03}.jpg", label, split) for label, count in counts.items() for i in range(count)]


def patients(sizes: list[int], label: str) -> list[Row]:
    return [
        Row(f"{label}/p{n}-{i}.jpg", label, None, f"{label}{n}") for n, size in enumerate(sizes) for i in range(size)
    ]


def paths(table: ImageTable, split: str) -> set[str]:
    return {sample.path for sample in getattr(table, split)}


def counts(table: ImageTable, split: str) -> list[int]:
    found = Counter(sample.label for sample in getattr(table, split))
    return [found[label] for label in range(len(table.classes))]


def groups_of(table: ImageTable, given: list[Row]) -> dict[str, set[str | None]]:
    group = {row.path: row.group for row in given}
    return {split: {group[path] for path in paths(table, split)} for split in SPLITS}


def test_rows_without_a_split_are_training_images_and_given_splits_stay() -> None:
    given = [*rows(a=20, b=20), *rows("train", a=10, b=10), *rows("test", a=3, b=4)]
    found = image_table(given, Splitting(val_fraction=0.1), "labels.csv")
    assert [counts(found, split) for split in SPLITS] == [[27, 27], [3, 3], [3, 4]]
    assert paths(found, "test") == {row.path for row in given if row.split == "test"}


def test_labels_follow_the_classes_that_are_given() -> None:
    found = image_table(rows("train", a=2, b=1), Splitting(0, 0), "x", classes=["b", "a"])
    assert (found.classes, counts(found, "train")) == (("b", "a"), [1, 2])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no images in labels.csv"),
        (rows(a=3), r"only one class in labels.csv \('a'\)"),
        ([*rows(a=5, b=5), *rows("dev", a=1)], "has a split 'dev': there are train, val, test"),
        (
            [*rows(a=5, b=5), *rows("val", c=1)],
            r"no training image in labels.csv of class 'c' \(but in val\): add some",
        ),
        (rows(a=5, b=2), "class 'b' has 2 images"),
    ],
)
def test_mistakes_are_named(given: list[Row], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_table(given, Splitting(), "labels.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fold": 0}, "data.fold=0 is one of how many"),
        ({"folds": 5}, "data.fold=None must be one of data.folds=5"),
        ({"folds": 5, "fold": 5}, "data.fold=5 must be one of"),
        ({"folds": 5, "fold": -1}, "data.fold=-1 must be one of"),
        ({"folds": 1, "fold": 0}, "data.folds=1 must be a whole number from 2 up"),
        ({"group": "("}, "is no regular expression"),
        ({"val_fraction": 0.6, "test_fraction": 0.6}, "together 1 at most"),
    ],
)
def test_what_no_split_can_be_made_of(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Splitting(**arguments)


@pytest.mark.parametrize(
    ("given", "splitting", "small"),
    [
        (rows(a=20, b=2, c=30, d=1, e=2), Splitting(), "bde"),
        (rows(a=20, b=2, c=30, d=1, e=2), Splitting(test_fraction=0), "d"),
        (rows("train", a=20, b=4, c=5, d=1), Splitting(0, 0, folds=5, fold=0), "bd"),
        (patients([1], "a") + patients([1] * 9, "b") + patients([1], "c"), Splitting(0, 0, folds=3, fold=0), "ac"),
        ([*rows(a=9, b=9), *rows("val", c=1, a=1), *rows("test", d=1, e=1, b=1)], Splitting(), "cde"),
    ],
)
def test_all_classes_that_are_too_small_are_named(given: list[Row], splitting: Splitting, small: str) -> None:
    with pytest.raises(ValueError, match="class") as caught:
        image_table(given, splitting, "x")
    assert [name for name in "abcde" if f"{name!r}" in str(caught.value)] == list(small)


@pytest.mark.parametrize("given", [rows(a=20, b=33), [*rows(a=20, b=33), *rows("val", a=4, b=3), *rows("test", a=5)]])
def test_folds_partition_what_is_not_test_and_are_stratified(given: list[Row]) -> None:
    plain = image_table(given, Splitting(seed=3), "x")
    runs = [image_table(given, Splitting(seed=3, folds=4, fold=fold), "x") for fold in range(4)]
    everything = paths(plain, "train") | paths(plain, "val")
    assert {run.test for run in runs} == {plain.test}  # the same as without folds
    for run in runs:
        assert paths(run, "train") == everything - paths(run, "val")
        assert len(run.train) + len(run.val) == len(everything)
        assert run.train == tuple(sample for part in run.parts("train") for sample in run.part(part))
    assert set.union(*(paths(run, "val") for run in runs)) == everything
    for label in (0, 1):
        sizes = [counts(run, "val")[label] for run in runs]
        assert max(sizes) - min(sizes) <= 1
    other = image_table(given, Splitting(seed=4, folds=4, fold=0), "x")
    assert paths(other, "val") != paths(runs[0], "val")


def test_a_class_needs_a_image_for_every_fold_but_an_evaluation_needs_none() -> None:
    with pytest.raises(ValueError, match=r"class 'b' has 3 images for data\.folds=4: take fewer"):
        image_table(rows("train", a=20, b=3), Splitting(0, 0, folds=4, fold=0), "x")
    everything = image_table(rows(a=2, b=3), Splitting(0, 1, folds=4, fold=0), "x")
    assert (len(everything.train), len(everything.val), len(everything.test)) == (0, 0, 5)


@pytest.mark.parametrize("folds", [None, 5])
def test_groups_stay_whole_and_classes_keep_their_shares(folds: int | None) -> None:
    given = patients([5, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1] * 4, "a") + patients([2] * 30, "b")
    fold = None if folds is None else 2
    found = image_table(given, Splitting(0.2, 0.2, seed=1, folds=folds, fold=fold), "x")
    where = groups_of(found, given)
    assert not where["train"] & where["val"]
    assert not where["test"] & (where["train"] | where["val"])
    shares = {"train": 0.64, "val": 0.16, "test": 0.2} if folds else {"train": 0.6, "val": 0.2, "test": 0.2}
    for split, share in shares.items():
        assert counts(found, split) == pytest.approx([100 * share, 60 * share], abs=3)
    other = image_table(given, Splitting(0.2, 0.2, seed=2, folds=folds, fold=fold), "x")
    assert groups_of(other, given)["val"] != where["val"]


def test_few_groups_are_enough_for_one_in_every_split() -> None:
    given = patients([10, 5, 1], "a") + patients([4, 4, 4], "b")
    found = image_table(given, Splitting(0.1, 0.2), "x")
    assert [len(groups) for groups in groups_of(found, given).values()] == [2, 2, 2]
    with pytest.raises(ValueError, match=r"class 'a'; 'b' has too few groups \(data.group\): none is left for"):
        image_table(patients([3, 3], "a") + patients([3, 3], "b"), Splitting(0.1, 0.2), "x")
    with pytest.raises(ValueError, match=r"class 'b' has too few groups \(data.group\) for data.folds=2"):
        image_table(patients([3, 3], "a") + patients([3], "b"), Splitting(0, 0, folds=2, fold=0), "x")


def test_groups_come_from_paths_too(caplog: pytest.LogCaptureFixture) -> None:
    given = [Row(f"{label}/shirt{i // 3:02}-{i % 3}.jpg", label) for label in ("a", "b") for i in range(60)]
    found = image_table(given, Splitting(group=r"(shirt\d+)-"), "x")  # of both classes
    shirts = [{Path(path).name.split("-")[0] for path in paths(found, split)} for split in SPLITS]
    assert [len(names) for names in shirts] == [14, 2, 4]
    assert len(set.union(*shirts)) == 20
    assert not caplog.records
    image_table(given, Splitting(group=r"shirt1\d"), "x")
    assert "is not found in 60 paths, a/shirt00-0.jpg; a/shirt00-1.jpg; " in caplog.text
    with pytest.raises(ValueError, match=r"data\.group='hat' is found in no path"):
        image_table(given, Splitting(group="hat"), "x")


@pytest.mark.parametrize("seed", range(5))
def test_folds_of_groups_of_several_classes_promise_what_stratified_group_k_fold_does(seed: int) -> None:
    rng = random.Random(seed)
    given = []
    for patient in range(120):  # with images of one, two or three classes, of which "a" is common and "c" rare
        labels = rng.choices("abc", weights=(6, 3, 1), k=rng.randint(1, 9))
        given += [Row(f"p{patient}/{i}.jpg", label, None, f"p{patient}") for i, label in enumerate(labels)]
    runs = [image_table(given, Splitting(0, 0, seed=seed, folds=5, fold=fold), "x") for fold in range(5)]
    patients = [groups_of(run, given)["val"] for run in runs]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 120  # each whole, and in one fold
    wanted = [count / 5 for count in Counter(row.label for row in sorted(given, key=lambda row: row.label)).values()]
    for run in runs:
        assert counts(run, "val") == pytest.approx(wanted, abs=1.5)  # scikit-learn: up to 2.4


def test_groups_that_given_splits_divide_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    given = patients([2] * 10, "a") + patients([2] * 10, "b")
    divided = [
        *given,
        Row("1.jpg", "a", "test", "a0"),
        Row("2.jpg", "b", "test", "b3"),
        Row("3.jpg", "b", "test", "new"),
    ]
    with caplog.at_level(logging.WARNING):
        image_table(given, Splitting(), "labels.csv")
        assert not caplog.records
        image_table(divided, Splitting(), "labels.csv")
    assert "2 groups of labels.csv are in more than one of its splits" in caplog.text
