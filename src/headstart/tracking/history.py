"""Writes `metrics.csv`, one row an epoch, whichever logger is chosen."""

import csv
import io
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from ..files import write_atomically
from .csv_rows import CsvFile
from .event_files import EventFiles
from .rows import read_history
from .show import step_of


class History(Callback):
    """Adds the epoch's metrics to `run_dir/metrics.csv` as soon as they are known.

    Rows are appended and the file closed again, so that a killed run keeps every epoch it finished. A resumed run goes
    on below its old rows; those of epochs that it repeats are dropped first, in what TensorBoard and the CSV logger
    have, too. A metric that comes later, or not in every epoch, has empty fields in the others.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.path = Path(run_dir) / "metrics.csv"
        self._columns: list[str] = []
        self._last_epoch = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new file, or keep the rows of the epochs before the one that is gone on with."""
        if trainer.is_global_zero:
            rows = [row for row in read_history(self.path) if row["epoch"] < trainer.current_epoch]
            self._columns, self._last_epoch = [], int(rows[-1]["epoch"]) if rows else -1
            self.path.unlink(missing_ok=True) if not rows else self._write(rows)
            for logger in trainer.loggers:
                if isinstance(logger, CsvFile | EventFiles):
                    logger.start_again_at(step_of(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add this epoch's row; Lightning has validated by now."""
        # Resumed from best.ckpt, for want of a better, Lightning ends that epoch once more, with nothing trained.
        if trainer.is_global_zero and trainer.current_epoch > self._last_epoch:
            lr = trainer.optimizers[0].param_groups[0]["lr"]
            own = {"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": lr}
            row = own | epoch_metrics(trainer) | own  # whatever a callback logs by these names
            if row.keys() <= set(self._columns):
                with self.path.open("a", newline="") as file:
                    csv.DictWriter(file, self._columns, restval="").writerow(row)
            else:
                self._write([*read_history(self.path), row])

    def _write(self, rows: list[dict[str, float]]) -> None:
        """The whole file anew, as its columns are others now."""
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        content = io.StringIO()
        writer = csv.DictWriter(content, self._columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path, content.getvalue())


def epoch_metrics(trainer: Trainer) -> dict[str, float]:
    """What was measured in the present epoch, by name; Lightning also remembers what an earlier validation came to."""
    validated = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total.ready
    found = sorted(trainer.callback_metrics.items())
    return {name: float(value) for name, value in found if validated or not name.startswith("val/")}
