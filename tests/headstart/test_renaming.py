"""Labels of other data, by the model's names for its classes, and never by their place."""

import pytest

from headstart.errors import UserError
from headstart.images.renaming import in_classes, renames
from headstart.images.table import ImageTable, Sample

MODEL = ("cat", "dog", "owl")


def table(*classes: str) -> ImageTable:
    samples = tuple(Sample(f"{name}.jpg", label) for label, name in enumerate(classes))
    return ImageTable(classes, (), (), samples, folds=(samples[:1],))


def named(found: ImageTable) -> dict[str, str]:
    assert found.classes == MODEL
    return {sample.path: MODEL[sample.label] for sample in found.test}


def test_labels_follow_names() -> None:
    assert named(in_classes(table("dog", "owl"), MODEL)) == {"dog.jpg": "dog", "owl.jpg": "owl"}
    found = in_classes(table("owl", "cat", "dog"), MODEL)
    assert named(found) == {"owl.jpg": "owl", "cat.jpg": "cat", "dog.jpg": "dog"}
    assert found.folds[0][0].label == 2


def test_names_that_mean_others_and_several_that_mean_one() -> None:
    found = in_classes(table("Katze", "kitten", "dog"), MODEL, "Katze=cat,kitten=cat")
    assert named(found) == {"Katze.jpg": "cat", "kitten.jpg": "cat", "dog.jpg": "dog"}
    assert named(in_classes(table("cat", "dog"), MODEL, "cat=dog,dog=cat")) == {"cat.jpg": "dog", "dog.jpg": "cat"}


def test_names_that_hold_commas_and_signs() -> None:
    old, new = ["a,b", "a", "x=y", "x"], ["1,2", "y=z", "1"]
    assert renames("a,b=1,2,x=y=1,a=y=z", old, new) == {"a,b": "1,2", "x=y": "1", "a": "y=z"}
    assert renames("", old, new) == {}


@pytest.mark.parametrize(
    ("classes", "renamed", "message"),
    [
        (("cat", "fox", "ox"), "", "the model doesn't know 'fox'; 'ox': it knows cat; dog; owl"),
        (("cat", "dogs"), "", "'dogs': did you mean dog"),
        (("cat", "dog"), "fox=dog", "the data has no class 'fox'; it has cat; dog"),
        (("cat", "fox"), "fox=dgo", "the model has no class 'dgo': did you mean dog"),
        (("cat", "fox"), "fox=dogs", "the model has no class 'dogs'"),
        (("cat", "fox"), "fox", "say old=new, with commas between several"),
    ],
)
def test_what_has_no_meaning(classes: tuple[str, ...], renamed: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        in_classes(table(*classes), MODEL, renamed)
