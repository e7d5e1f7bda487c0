"""What lies in a run's folder, read when it is asked for: the input of figures, report and comparison."""

import csv
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from headstart.errors import printable
from headstart.runs import read_results
from headstart.tracking.rows import read_history

PREDICTIONS = "predictions.parquet"


class Split(NamedTuple):
    """The predictions for a split: class numbers int64 [images], and the probability of the predicted, float32."""

    paths: NDArray[np.object_]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float32]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image was given its own class."""
        return self.labels == self.predicted


class RunFolder:
    """A run's folder; everything is empty that isn't in it, as in one that failed, or that is older."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._figures: dict[Any, Any] = {}

    def figure(self, draw: Callable[["RunFolder"], Any]) -> Any:
        """What a function of FIGURES draws of this run, drawn once; None where it draws nothing."""
        if draw not in self._figures:
            self._figures[draw] = draw(self)
        return self._figures[draw]

    @property
    def name(self) -> str:
        """The folder's name, and that of its sweep before it."""
        path = self.path.absolute()
        return printable(f"{path.parent.name}/{path.name}" if path.parent.parent.name == "sweeps" else path.name)

    @cached_property
    def results(self) -> dict[str, Any]:
        """What stands in results.json."""
        return read_results(self.path)

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """The rows of metrics.csv, one an epoch."""
        return read_history(self.path / "metrics.csv")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config as it was last run, with its references as they are."""
        return self._hydra("config.yaml") or {}

    @cached_property
    def overrides(self) -> list[str]:
        """What was typed."""
        return self._hydra("overrides.yaml") or []

    @cached_property
    def choices(self) -> dict[str, str]:
        """What was chosen of each group of conf/."""
        said = _read_yaml(self.path / ".hydra" / "hydra.yaml") or {}
        return said.get("hydra", {}).get("runtime", {}).get("choices", {})

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order."""
        return tuple(self.results.get("classes", ()))  # they may hold bytes that Parquet's text can't

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The predictions by split, val and test, without those of the other classes."""
        if not (self.path / PREDICTIONS).exists():
            return {}
        from pyarrow import parquet

        table = parquet.read_table(
            self.path / PREDICTIONS, columns=["path", "split", "label", "predicted", "probability"]
        )
        of_split, splits = _numbers(table["split"])
        label, predicted = (_in_order(*_numbers(table[name]), self._names) for name in ("label", "predicted"))
        path, probability = table["path"].to_numpy(), table["probability"].to_numpy()
        rows = {name: of_split == number for number, name in enumerate(splits)}
        return {name: Split(path[own], label[own], predicted[own], probability[own]) for name, own in rows.items()}

    @cached_property
    def split(self) -> str | None:
        """The split that the figures are about: test where there is one, else val; None without predictions."""
        return next((name for name in ("test", "val") if name in self.splits), None)

    def probabilities(self, split: str) -> NDArray[np.float32]:
        """Those of all classes [images, classes]: large where there are many of both."""
        from pyarrow import parquet

        columns = [f"p_{name}" for name in self._names]
        table = parquet.read_table(self.path / PREDICTIONS, columns=["split", *columns])
        of_split, splits = _numbers(table["split"])
        own = of_split == splits.index(split)
        return np.stack([table[number + 1].to_numpy()[own] for number in range(len(columns))], axis=1)

    @cached_property
    def confusions(self) -> NDArray[np.int64]:
        """Which pairs of classes come how often: rows of [true, predicted, images], for images of the split."""
        if self.split is None:
            return np.array(_cells(self.results), dtype=np.int64).reshape(-1, 3)
        found, count = self.splits[self.split], len(self.classes)
        codes, images = np.unique(found.labels * count + found.predicted, return_counts=True)
        return np.stack([codes // count, codes % count, images], axis=1)

    @cached_property
    def doctor(self) -> list[dict[str, str]]:
        """The rows of doctor.csv, the worst first."""
        path = self.path / "doctor.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    @cached_property
    def _names(self) -> list[str]:
        return [printable(name) for name in self.classes]

    def _hydra(self, name: str) -> Any:
        """A file of `.hydra`, the last of those that were written as the run was gone on with."""
        places = [*sorted(self.path.glob(f".hydra/*/{name}"), reverse=True), self.path / ".hydra" / name]
        return next(filter(None, map(_read_yaml, places)), None)


def saliency_path(run_dir: Path, split: str, row: int) -> Path:
    """Where the map of an image lies that a model was wrong about: that of a row of the split's predictions."""
    return run_dir / "saliency" / f"{split}_{row:06d}.jpg"


def _read_yaml(path: Path) -> Any:
    """The values in a YAML file, interpolations being text; None where there is no whole one."""
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None


def _numbers(column: Any) -> tuple[NDArray[np.int32], list[str]]:
    """The numbers of a column's values, in the order in which the list has them."""
    column = column.unify_dictionaries().combine_chunks()
    return column.indices.to_numpy(), column.dictionary.to_pylist()


def _in_order(numbers: NDArray[np.int32], names: list[str], wanted: Sequence[str]) -> NDArray[np.int64]:
    """The same, numbered as in `wanted`."""
    places = {name: number for number, name in enumerate(wanted)}
    return np.array([places[name] for name in names], dtype=np.int64)[numbers]


def _cells(results: dict[str, Any]) -> list[list[int]]:
    """The same of an older run, which left its counts in results.json alone."""
    matrix = results.get("confusion_matrix") or []
    cells = [[true, guess, images] for true, row in enumerate(matrix) for guess, images in enumerate(row) if images]
    return results.get("confusions") or cells
