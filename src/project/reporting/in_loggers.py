"""Shows what came out of a run in its loggers: figures, test predictions with images, and the feature space."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray

from headstart.errors import printable
from headstart.features.cache import FeatureData
from headstart.images.thumbnails import thumbnail
from headstart.tracking.show import Show

from .run_folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

TABLE, PROJECTED, POINTS = 100, 1000, 5000  # images at most
SIDE, DIMENSIONS = 48, 50  # pixels of the projector's images, and principal components that it gets
COLOURS = 12  # of classes in the point cloud, which then begin anew


def show_results(trainer: Trainer, data: Any) -> None:
    """Show what lies in the run's folder, in the loggers that can, at the last step."""
    show = Show(trainer)
    if not show.anywhere:
        return
    run = RunFolder(trainer.default_root_dir)
    keep_best(show, run)
    for path in sorted((run.path / "plots").glob("*.png")):
        show.image_file(f"results/{path.stem}", path)
    if run.split is None:
        return
    show_predictions(show, run)
    if isinstance(data, FeatureData) and not data.live:
        show_features(show, run, data)


def keep_best(show: Show, run: RunFolder) -> None:
    """Keep the best checkpoint where a logger keeps models, with what it came to."""
    if best := run.results.get("best_checkpoint"):
        told = {key: run.results[key] for key in ("score", "monitor", "metrics", "classes", "git_commit", "command")}
        show.model([run.path / best], told)


def show_predictions(show: Show, run: RunFolder) -> None:
    """A table of predictions with images: all that are wrong, the most confident first, then others."""
    assert run.split is not None
    split = run.splits[run.split]
    order = np.lexsort((-split.probability, split.right))
    rows, images = _with_thumbnails(split.paths, order[:TABLE], 2 * SIDE)
    names = [printable(name) for name in run.classes]
    cells = [
        [str(split.paths[row]), names[split.labels[row]], names[split.predicted[row]],
         round(float(split.probability[row]), 4), bool(split.right[row])]
        for row in rows
    ]  # fmt: skip
    show.table("results/predictions", ["path", "label", "predicted", "probability", "right"], cells, images)


def show_features(show: Show, run: RunFolder, data: FeatureData) -> None:
    """The features of the split that figures are about: a projector with images, and a cloud coloured by class."""
    assert run.split is not None
    split, ((features, *_), _) = run.splits[run.split], data.split(run.split)
    if len(features) != len(split.labels) or len(features) < 4:
        return  # a limit measured only some of them
    components = principal_components(features.float().cpu())
    colours = class_colours(torch.from_numpy(split.labels))
    show.points("features", components[:POINTS, :3], colours[:POINTS])
    if not show.boards:
        return  # thumbnails are for the projector
    names = [" ".join(printable(name).split()) for name in run.classes]  # a tab or a new line would end the cell
    rows, images = _with_thumbnails(split.paths, _spread(len(features), PROJECTED), SIDE)
    known = [[names[split.labels[row]], names[split.predicted[row]], str(bool(split.right[row]))] for row in rows]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    show.embedding("features", components[rows], ["label", "predicted", "right"], known, pixels)


def principal_components(features: "Tensor") -> "Tensor":
    """The first `DIMENSIONS` principal components of features [images, num_features]; fewer where there are fewer."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        scores, lengths, _ = torch.pca_lowrank(features, min(DIMENSIONS, *features.shape))
    return scores * lengths


def class_colours(labels: "Tensor") -> "Tensor":
    """A colour uint8 [images, 3] for each label: `COLOURS` of them, evenly around the circle."""
    angles = (labels % COLOURS).double()[:, None] / COLOURS + torch.tensor([0, 1 / 3, 2 / 3], dtype=torch.float64)
    return (127.5 + 127.5 * torch.cos(2 * torch.pi * angles)).round().to(torch.uint8)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """So many rows at most, evenly spread: the table may be sorted by class."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _with_thumbnails(paths: Any, rows: NDArray[np.int64], side: int) -> tuple[list[int], list[NDArray[np.uint8]]]:
    """The rows, and images uint8 [side, side, 3] of each: grey where there is none."""
    from headstart.images.loading import threads

    missing = np.full((side, side, 3), 128, np.uint8)
    found = threads().map(lambda row: thumbnail(str(paths[row]), side), rows.tolist())
    return rows.tolist(), [missing if image is None else np.asarray(image.convert("RGB")) for image in found]
