"""Writes `metrics.csv`, one row an epoch, whichever logger is chosen."""

import csv
from pathlib import Path

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
        """Start a new file, or keep the rows up to the step that is resumed from."""
        if trainer.is_global_zero:
            rows = [row for row in read_history(self.path) if row["step"] <= trainer.global_step]
            self.path.unlink(missing_ok=True)
            for row in rows:
                self._append(row)
            self._last_epoch = int(rows[-1]["epoch"]) if rows else -1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append this epoch's row; Lightning has validated by now."""
        # Resumed from the checkpoint at an epoch's end, Lightning ends that epoch once more, with nothing trained.
        if trainer.is_global_zero and trainer.current_epoch > self._last_epoch:
            metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
            lr = trainer.optimizers[0].param_groups[0]["lr"]
            self._append({"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": lr, **metrics})

    def _append(self, row: dict[str, float]) -> None:
        is_new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`; none when there is no such file. A half-written last row is left out."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row.values())]
    return [{name: int(value) if value.isdigit() else float(value) for name, value in row.items()} for row in rows]
