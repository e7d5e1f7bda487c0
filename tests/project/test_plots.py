from pathlib import Path

import numpy as np
from PIL import Image

from project.reporting.plots import plot_confusion_matrix, plot_history


def test_the_numbers_are_drawn(tmp_path: Path) -> None:
    for name, times in (("a.png", 1), ("b.png", 2)):  # the same fractions, and so the same colours
        plot_confusion_matrix([[5 * times, 0], [2 * times, 3 * times]], ["cat", "dog"], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_epochs_without_a_validation_have_no_point(tmp_path: Path) -> None:
    rows = [{"epoch": epoch, "train/loss": 1.0, "train/accuracy": 0.5} for epoch in range(4)]
    plot_history(rows, tmp_path / "none.png")
    rows[1] |= {"val/loss": 2.0, "val/accuracy": 0.1}
    plot_history(rows, tmp_path / "one.png")
    none, one = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("none", "one"))
    assert none.std() > 5
    assert none.shape != one.shape or (none != one).any()
