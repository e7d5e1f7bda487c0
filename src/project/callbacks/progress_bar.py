"""Progress bars that count images, where somebody looks on: `progress=rich`, `tqdm` or `none`."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import ProcessingSpeedColumn
from rich.progress import Task
from rich.text import Text

from headstart.machine import terminal


def progress_bars(kind: str) -> list[ProgressBar]:
    """The chosen bar; none where the output is a file or a pipe, in which every epoch has its line."""
    console = terminal()
    if kind == "none" or not (console.is_interactive or console.is_jupyter):
        return []
    return [ImageBar() if kind == "rich" else TQDMProgressBar()]


class ImageBar(RichProgressBar):
    """Lightning's bars with images per second, gone when they are done: what stays is a line an epoch."""

    images_per_batch = 0  # over all devices, as in the last batch

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Lightning's, with another speed."""
        columns = super().configure_columns(trainer)
        return [ImageSpeed(self) if isinstance(one, ProcessingSpeedColumn) else one for one in columns]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count a batch's images."""
        self.images_per_batch = len(batch[1]) * trainer.world_size

    def _init_progress(self, trainer: Trainer) -> None:
        super()._init_progress(trainer)
        if self.progress is not None:
            self.progress.live.transient = True


class ImageSpeed(ProcessingSpeedColumn):
    """Images per second, as `1,234 images/s`; empty before the second batch."""

    def __init__(self, bar: ImageBar) -> None:
        self.bar = bar
        super().__init__(bar.theme.processing_speed)

    def render(self, task: Task) -> Text:
        """The text for one bar."""
        speed = f"{task.speed * self.bar.images_per_batch:,.0f} images/s" if task.speed else ""
        return Text(speed, style=self.style)
