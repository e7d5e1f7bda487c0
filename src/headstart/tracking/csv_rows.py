"""Lightning's CSV logger, whose rows stay when a run is gone on with."""

import csv
from pathlib import Path
from typing import cast

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment


class CsvFile(CSVLogger):
    """Lightning's CSV file, which keeps its rows when its run is gone on with."""

    @property
    @rank_zero_experiment
    def experiment(self) -> "Rows":
        """What writes the rows."""
        if self._experiment is None:
            self._experiment = Rows(self.log_dir)
        return cast(Rows, self._experiment)

    def start_again_at(self, step: int) -> None:
        """Drop the rows from this step on, of a run that is gone on with from before it."""
        self.experiment.drop_from(step)


class Rows(ExperimentWriter):
    """Adds to the rows of before, which Lightning's own deletes."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        if Path(self.metrics_file_path).exists():
            with Path(self.metrics_file_path).open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    def _check_log_dir_exists(self) -> None:
        """Nothing is wrong with a folder that holds rows."""

    def drop_from(self, step: int) -> None:
        """Leave only the rows of earlier steps."""
        if Path(self.metrics_file_path).exists():
            with Path(self.metrics_file_path).open(newline="") as file:
                rows = [
                    row for row in csv.DictReader(file) if (row["step"] or "").isdigit() and int(row["step"]) < step
                ]
            Path(self.metrics_file_path).unlink()
            kept = [{name: value for name, value in row.items() if value} for row in rows]
            self.metrics[:0] = cast(list[dict[str, float]], kept)  # text, as it stood there
            self.save()
