from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from project.reporting.plots import plot_confusion_matrix, plot_history, shown


def test_the_numbers_are_drawn(tmp_path: Path) -> None:
    for name, times in (("a.png", 1), ("b.png", 2)):  # the same fractions, and so the same colours
        plot_confusion_matrix([[5 * times, 0], [2 * times, 3 * times]], ["cat", "dog"], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


ODD = [
    "$5_$10",
    "[red]",
    "a/b",
    "100 %",
    "_x",
    r"\alpha^{",
    "\U0001f600 \u732b",
    "y" * 5000,
    "a\nb",
    "\udcff",
    "",
    "#~&",
]


@pytest.mark.parametrize("usetex", [False, True])  # as somebody's matplotlibrc may have it
def test_a_class_may_be_called_anything(tmp_path: Path, usetex: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.mathtext.MathTextParser.parse", lambda *_: pytest.fail("taken for mathematics"))
    with mpl.rc_context({"text.usetex": usetex}):
        path = plot_confusion_matrix(np.eye(len(ODD), dtype=int), ODD, tmp_path / "odd.png")
    with Image.open(path) as image:
        assert max(image.size) < 1600
    assert [shown(name) for name in ODD[:6]] == ODD[:6]
    assert shown("y" * 5000 + "1") != shown("y" * 5000 + "2")


def test_epochs_without_a_validation_have_no_point(tmp_path: Path) -> None:
    rows = [{"epoch": epoch, "train/loss": 1.0, "train/accuracy": 0.5} for epoch in range(4)]
    plot_history(rows, tmp_path / "none.png")
    rows[1] |= {"val/loss": 2.0, "val/accuracy": 0.1}
    plot_history(rows, tmp_path / "one.png")
    none, one = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("none", "one"))
    assert none.std() > 5
    assert none.shape != one.shape or (none != one).any()
