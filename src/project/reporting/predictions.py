"""`predictions.parquet`: a row for each validation and test image, with its label, its class, and all probabilities."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow
from pyarrow import parquet
from torch import Tensor

from headstart.errors import printable
from headstart.files import PART
from headstart.predictions import Predictions

from .run_folder import PREDICTIONS

ROWS = 16384  # of which a copy is made at a time, to turn rows into columns
NAMES = ("path", "split", "label", "predicted")


def write_predictions(run_dir: Path, splits: Mapping[str, Predictions], classes: Sequence[str]) -> Path:
    """Write the columns path, split, label, predicted, probability, and float32 `p_<class>` for each of `classes`.

    `label` and `predicted` are names of classes, `probability` is that of the predicted one. The file appears as a
    whole or not at all.
    """
    names = [printable(name) for name in classes]  # Parquet takes Unicode alone
    floats = ["probability", *(f"p_{name}" for name in names)]
    text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    fields = [("path", pyarrow.string()), *((name, text) for name in NAMES[1:])]
    schema = pyarrow.schema([*fields, *((name, pyarrow.float32()) for name in floats)])
    part = run_dir / f"{PREDICTIONS}.{os.getpid()}{PART}"
    try:
        options = {"use_dictionary": list(NAMES[1:]), "write_statistics": False, "compression": "zstd"}
        with parquet.ParquetWriter(part, schema, **options) as writer:
            for split, found in splits.items():
                for start in range(0, len(found.labels), ROWS):
                    columns = _columns(split, found, slice(start, start + ROWS), names)
                    writer.write_batch(pyarrow.record_batch(columns, schema=schema))
        part.replace(run_dir / PREDICTIONS)
    finally:
        part.unlink(missing_ok=True)
    return run_dir / PREDICTIONS


def _columns(split: str, found: Predictions, rows: slice, names: list[str]) -> list[pyarrow.Array]:
    """A part of a split's rows, one column after the other."""
    labels, probabilities = found.labels[rows], found.probabilities[rows]
    largest, predicted = probabilities.max(dim=1)
    paths = [printable(path) for path in found.paths[rows]] or [""] * len(labels)
    dictionary = pyarrow.array(names)
    return [
        pyarrow.array(paths),
        _named(labels.new_zeros(len(labels)), pyarrow.array([split])),
        _named(labels, dictionary),
        _named(predicted, dictionary),
        pyarrow.array(largest.numpy()),
        *(pyarrow.array(column) for column in probabilities.T.contiguous().numpy()),
    ]


def _named(numbers: Tensor, names: pyarrow.Array) -> pyarrow.Array:
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array(numbers.int().numpy()), names)
