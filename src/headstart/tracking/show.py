"""Shows figures, images, histograms, tables, graphs and features in each logger that can, and as files of the run."""

import csv
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from .wandb_run import ask, keep_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 64  # of a histogram
DPI = 100  # of a figure
POINT = {"material": {"cls": "PointsMaterial", "size": 0.012}}  # of TensorBoard's point clouds, whose side is 1


def step_of(trainer: Trainer) -> int:
    """The step that loggers are told now, their axis everywhere: batches that made one, as Lightning counts them.

    `trainer.global_step` counts calls of optimizers, which aren't batches where a model makes its steps itself.
    """
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def wanted(plots: bool | str, run_dir: str | Path, sweep_dir: str | None) -> bool:
    """Whether a run shall show what the key `plots` is about: with `auto`, any but a job of the sweep `sweep_dir`."""
    if plots != "auto":
        return bool(plots)
    return sweep_dir is None or not Path(run_dir).absolute().is_relative_to(Path(sweep_dir).absolute())


class Show:
    """Shows things by a name in a trainer's loggers, and in `plots/` of its run's folder; in one process of several.

    A logger that can't show a thing skips it: all but TensorBoard's and W&B's, which put together what has the same
    GROUP in GROUP/NAME; the file is called NAME. Libraries are imported where they are used. The step is the present
    one unless told.
    """

    def __init__(self, trainer: Trainer, step: int | None = None) -> None:
        self.step = step_of(trainer) if step is None else step
        self.folder = Path(trainer.default_root_dir) / "plots"
        self.loggers: list[Logger] = trainer.loggers if trainer.is_global_zero else []
        self.boards = [one.experiment for one in self.loggers if isinstance(one, TensorBoardLogger)]
        self.wandb = [one for one in self.loggers if isinstance(one, WandbLogger)]

    @property
    def anywhere(self) -> bool:
        """Whether a logger shows more than numbers."""
        return bool(self.boards or self.wandb)

    @rank_zero_only
    def scalars(self, name: str, values: dict[str, float]) -> None:
        """Numbers, as NAME/KEY (KEY alone without a name), in every logger."""
        values = {f"{name}/{key}" if name else key: value for key, value in values.items()}
        for logger in self.loggers:
            logger.log_metrics(values, self.step)

    @rank_zero_only
    def figure(self, name: str, figure: "Figure") -> None:
        """A figure, drawn once: the file is what loggers show."""
        figure.savefig(self._file(f"{name}.png"), dpi=DPI)
        self.image_file(name, self._file(f"{name}.png"))

    @rank_zero_only
    def images(self, name: str, images: Tensor, columns: int = 8) -> None:
        """A grid of uint8 images [images, 3, height, width]."""
        from torchvision.io import write_jpeg
        from torchvision.utils import make_grid

        path = self._file(f"{name}.jpg")  # photographs would be ten times as large as PNG
        write_jpeg(make_grid(images.cpu(), columns, pad_value=255), str(path), quality=90)
        self.image_file(name, path)

    @rank_zero_only
    def histogram(self, name: str, values: Tensor) -> None:
        """How finite numbers of any shape are distributed, in `BINS` equal parts of their range."""
        values = values.detach().float().flatten()
        counts, edges = _histogram(values)
        for board in self.boards:
            sums = {"num": values.numel(), "sum": float(values.sum()), "sum_squares": float(values.square().sum())}
            board.add_histogram_raw(name, edges[0], edges[-1], **sums, bucket_limits=edges[1:], bucket_counts=counts,
                                    global_step=self.step)  # fmt: skip
        self._to_wandb(name, lambda library: library.Histogram(np_histogram=(counts, edges)))

    @rank_zero_only
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], images: Any = None) -> None:
        """Rows as a file, in TensorBoard's texts, and in W&B, there with an image [height, width, 3] for each row."""
        with self._file(f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
        for board in self.boards:
            board.add_text(name, _markdown([columns, ["---"] * len(columns), *rows]), self.step)
        self._to_wandb(name, lambda library: library.Table(*_with_images(library, columns, rows, images)))

    @rank_zero_only
    def graph(self, name: str, model: nn.Module, images: Tensor) -> None:
        """What a model computes for uint8 images [1, 3, height, width]: TensorBoard's graph."""
        from .graph import graph_of

        for board in self.boards:
            board._get_file_writer().add_graph(graph_of(model, images))

    @rank_zero_only
    def embedding(
        self, name: str, vectors: Tensor, columns: Sequence[str], rows: Sequence[Sequence[Any]], images: Tensor
    ) -> None:
        """Vectors [images, size] with what is known of each, and images [images, 3, side, side] in 0 to 1.

        TensorBoard's projector alone: it searches, colours and turns them.
        """
        for board in self.boards:
            shutil.rmtree(Path(board.log_dir) / "00000" / name, ignore_errors=True)  # of before the run went on
            board.add_embedding(vectors, list(rows), images, 0, name, list(columns))

    @rank_zero_only
    def points(self, name: str, positions: Tensor, colours: Tensor) -> None:
        """A cloud of points [points, 3], which turns, in colours uint8 [points, 3]."""
        positions = positions - positions.mean(dim=0)
        positions = positions / positions.abs().max().clamp_min(1e-12) / 2
        for board in self.boards:
            board.add_mesh(name, positions[None], colours[None], config_dict=POINT, global_step=self.step)
        cloud = torch.cat([positions, colours.float()], dim=1).numpy()
        self._to_wandb(name, lambda library: library.Object3D(cloud))

    @rank_zero_only
    def model(self, files: Sequence[Path], metadata: Mapping[str, Any]) -> None:
        """Files of the best model, in W&B, where they can be fetched from by the name `best`."""
        for logger in self.wandb:
            keep_model(logger.experiment, files, metadata)

    @rank_zero_only
    def image_file(self, name: str, path: Path) -> None:
        """An image file as it is: encoding it again would cost more than drawing it."""
        for board in self.boards:
            from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

            value = Summary.Value(tag=name, image=Summary.Image(encoded_image_string=path.read_bytes()))
            board._get_file_writer().add_summary(Summary(value=[value]), self.step)
        self._to_wandb(name, lambda library: library.Image(str(path)))

    def _to_wandb(self, name: str, make: Callable[[Any], Any]) -> None:
        for logger in self.wandb:
            import wandb

            ask(logger.experiment, name, lambda: logger.log_metrics({name: make(wandb)}, self.step))  # noqa: B023

    def _file(self, name: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / Path(name).name


def _histogram(values: Tensor) -> tuple[list[float], list[float]]:
    """How many values lie in each part, and the edges of the parts, one more."""
    low, high = (float(end) for end in values.aminmax())
    high = high if high > low else low + 1e-6 * max(1.0, abs(low))
    return values.histc(BINS, low, high).tolist(), torch.linspace(low, high, BINS + 1, dtype=torch.float64).tolist()


def _markdown(rows: Sequence[Sequence[Any]]) -> str:
    """A table as TensorBoard's texts take it; names stay what they are."""
    cells = [[str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _with_images(library: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]], images: Any) -> tuple[Any, Any]:
    if images is None:
        return list(columns), [list(row) for row in rows]
    return ["image", *columns], [[library.Image(image), *row] for image, row in zip(images, rows, strict=True)]
