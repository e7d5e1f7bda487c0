"""Where all files of a data set lie, without taking every path apart."""

import os
import random

import pytest

from headstart.files import common_folder


def test_it_is_that_of_the_standard_library() -> None:
    draw = random.Random(0)
    for _ in range(500):
        files = ["/" + "/".join(draw.choices(("a", "a-b", "ab", "a.b", "b"), k=draw.randint(1, 4))) + ".jpg"
                 for _ in range(draw.randint(1, 5))]  # fmt: skip
        folders = [os.path.dirname(file) for file in files]  # noqa: PTH120
        assert (common_folder(files) or "/") == os.path.commonpath(folders), files


@pytest.mark.parametrize(
    ("files", "folder"),
    [(["a/b/x.jpg"], "a/b"), (["a/b/x.jpg", "a/bc/x.jpg"], "a"), (["x.jpg", "y.jpg"], ""), (["/a/x", "b/x"], "")],
)
def test_of_relative_paths_too(files: list[str], folder: str) -> None:
    assert common_folder(files) == folder
