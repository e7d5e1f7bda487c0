"""Writes `metrics.csv`, one row an epoch, whichever logger is chosen."""

import csv
from pathlib import Path
from typing import IO

from lightning.pytorch import Callback, LightningModule, Trainer


class History(Callback):
    """Appends the epoch's metrics to `run_dir/metrics.csv` as soon as they are known.

    A row is appended and the file closed again, so that a killed run keeps every epoch it finished. A resumed
    run goes on below its old rows; those of epochs that it repeats are dropped first.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.path = Path(run_dir) / "metrics.csv"
        self._last_epoch = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new file, or keep the rows of the epochs before the one that is gone on with."""
        if trainer.is_global_zero:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            rows = [row for row in read_history(self.path) if row["epoch"] < trainer.current_epoch]
            part = self.path.with_suffix(".part")  # a kill in between leaves the old file
            with part.open("w", newline="") as file:
                for row in rows:
                    _write(file, row, header=file.tell() == 0)
            part.replace(self.path) if rows else self.path.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
            self._last_epoch = int(rows[-1]["epoch"]) if rows else -1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append this epoch's row; Lightning has validated by now."""
        # Resumed from best.ckpt, for want of a better, Lightning ends that epoch once more, with nothing trained.
        if trainer.is_global_zero and trainer.current_epoch > self._last_epoch:
            metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
            lr = trainer.optimizers[0].param_groups[0]["lr"]
            row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": lr, **metrics}
            with self.path.open("a", newline="") as file:
                _write(file, row, header=file.tell() == 0)


def _write(file: IO[str], row: dict[str, float], header: bool) -> None:
    writer = csv.DictWriter(file, fieldnames=list(row))
    if header:
        writer.writeheader()
    writer.writerow(row)


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`; none when there is no such file. A half-written last row is left out."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row.values())]
    return [{name: int(value) if value.isdigit() else float(value) for name, value in row.items()} for row in rows]
