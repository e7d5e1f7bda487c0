"""Figures of a run, drawn from what lies in its folder."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from run_folders import ODD, a_run

from project.reporting.figures import FIGURES
from project.reporting.plots.confusion import confusion_matrix, draw_matrix
from project.reporting.plots.curves import draw_history
from project.reporting.plots.style import save_png, shown, to_svg
from project.reporting.run_folder import RunFolder


def test_the_numbers_are_drawn(tmp_path: Path) -> None:
    for name, times in (("a.png", 1), ("b.png", 2)):  # the same fractions, and so the same colours
        save_png(draw_matrix([[5 * times, 0], [2 * times, 3 * times]], ["cat", "dog"]), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("usetex", [False, True])  # as somebody's matplotlibrc may have it
def test_a_class_may_be_called_anything(tmp_path: Path, usetex: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.mathtext.MathTextParser.parse", lambda *_: pytest.fail("taken for mathematics"))
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    run = a_run(tmp_path, ODD, path=str(tmp_path / "a.png"))
    with mpl.rc_context({"text.usetex": usetex}):
        figures = {draw.__name__: draw(run) for draw in FIGURES}
        assert None not in figures.values()
        for figure in figures.values():
            assert figure is not None
            FigureCanvasAgg(figure).draw()  # as a logger does, which knows nothing of names
            assert "<b>" not in to_svg(figure)
    assert max(max(figure.get_size_inches()) for figure in figures.values() if figure) < 16
    assert [shown(name) for name in ODD[:6]] == ODD[:6]
    assert shown("y" * 5000 + "1") != shown("y" * 5000 + "2")


def test_nothing_is_drawn_of_an_empty_folder(tmp_path: Path) -> None:
    assert [draw(RunFolder(tmp_path)) for draw in FIGURES] == [None] * len(FIGURES)


@pytest.mark.parametrize("count", [2, 50, 51, 1000])
def test_a_matrix_of_any_size_is_drawn_at_a_size_that_can_be_looked_at(tmp_path: Path, count: int) -> None:
    names = [f"a class of a name that is longer than any {number}" for number in range(count)]
    figure = confusion_matrix(a_run(tmp_path, names, 300))
    assert figure is not None
    with Image.open(save_png(figure, tmp_path / "a.png")) as image:
        assert max(image.size) < 3200
        assert np.asarray(image.convert("L")).std() > 10


def test_epochs_without_a_validation_have_no_point(tmp_path: Path) -> None:
    rows = [{"epoch": epoch, "train/loss": 1.0, "train/accuracy": 0.5} for epoch in range(4)]
    save_png(draw_history(rows), tmp_path / "none.png")
    rows[1] |= {"val/loss": 2.0, "val/accuracy": 0.1}
    save_png(draw_history(rows), tmp_path / "one.png")
    none, one = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("none", "one"))
    assert none.std() > 5
    assert none.shape != one.shape or (none != one).any()
