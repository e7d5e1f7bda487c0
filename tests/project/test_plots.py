"""The jobs of a sweep share the axes of their plots, and nothing that is drawn there."""

from pathlib import Path

from project.reporting import plots


def rows(epochs: int, loss: float) -> list[dict[str, float]]:
    return [
        {"epoch": epoch, "train/loss": loss / (epoch + 1), "val/loss": loss, "train/accuracy": 0.5, "val/accuracy": 0.1}
        for epoch in range(epochs)
    ]


def test_a_plot_looks_the_same_whatever_was_drawn_before(tmp_path: Path) -> None:
    counts, other = [[5, 0], [2, 3]], [[0, 100], [7, 0]]
    drawn = []
    for before in (False, True):
        plots._history_figure.cache_clear()
        plots._matrix_figure.cache_clear()
        if before:
            plots.plot_history(rows(50, 9.0), tmp_path / "a.png")
            plots.plot_confusion_matrix(other, ("cat", "dog"), tmp_path / "b.png")
        plots.plot_history(rows(3, 0.2), tmp_path / "a.png")
        plots.plot_confusion_matrix(counts, ("cat", "dog"), tmp_path / "b.png")
        drawn.append([(tmp_path / name).read_bytes() for name in ("a.png", "b.png")])
    assert drawn[0] == drawn[1]
    assert plots._matrix_figure.cache_info().hits == 1


def test_the_numbers_are_drawn(tmp_path: Path) -> None:
    for name, times in (("a.png", 1), ("b.png", 2)):  # the same shares, and so the same colours
        plots.plot_confusion_matrix([[5 * times, 0], [2 * times, 3 * times]], ("cat", "dog"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
