"""predictions.parquet: every validation and test image once, with what the best checkpoint says of it."""

import json
from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from runs import Train, results

from headstart.predictions import Predictions
from project.reporting.predictions import write_predictions
from project.reporting.run_folder import RunFolder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    names = ["b", "$a$", "\udcff", "a b"]
    splits = {}
    for split, count in (("val", 40), ("test", 17000)):  # more than is turned into columns at a time
        paths = tuple(f"{split}/{number}.jpg" for number in range(count))
        splits[split] = Predictions(paths, torch.randint(4, (count,)), torch.rand(count, 4).softmax(1))
    write_predictions(tmp_path, splits, names)
    (tmp_path / "results.json").write_text(json.dumps({"classes": names}))
    run = RunFolder(tmp_path)
    assert run.split == "test"
    for split, wanted in splits.items():
        found = run.splits[split]
        assert tuple(found.paths) == wanted.paths
        assert found.labels.tolist() == wanted.labels.tolist()
        assert found.predicted.tolist() == wanted.predicted.tolist()
        assert found.probability.tolist() == wanted.probabilities.max(dim=1).values.tolist()
        assert torch.equal(torch.from_numpy(run.probabilities(split)), wanted.probabilities)
    schema = parquet.read_schema(tmp_path / "predictions.parquet")
    assert schema.names[:5] == ["path", "split", "label", "predicted", "probability"]
    assert schema.names[5:7] == ["p_b", "p_$a$"]
    assert {str(schema.field(name).type) for name in schema.names[4:]} == {"float"}
    assert [path.name for path in tmp_path.glob("predictions*")] == ["predictions.parquet"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [[], ["features.cache=false"], ["head=mlp", "+trainer.limit_test_batches=1", "data.batch_size=7"]],
    ids=str,
)
def test_a_run_leaves_them(train: Train, images: Path, overrides: list[str]) -> None:
    (run_dir,) = train("logger=none", *overrides)
    table = parquet.read_table(run_dir / "predictions.parquet").to_pylist()
    rows = {split: [row for row in table if row["split"] == split] for split in ("val", "test")}
    for split, found in rows.items():
        assert [row["path"] for row in found] == sorted(map(str, (images / split).rglob("*.jpg")))
        assert all(row["label"] == Path(row["path"]).parent.name for row in found)
        accuracy = sum(row["label"] == row["predicted"] for row in found) / len(found)
        assert results(run_dir)["metrics"][f"{split}/accuracy"] == pytest.approx(accuracy)
    classes = results(run_dir)["classes"]
    for row in table:
        probabilities = [row[f"p_{name}"] for name in classes]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert row["probability"] == max(probabilities) == row[f"p_{row['predicted']}"]
    assert results(run_dir)["images"] == {"train": [4] * 10, "val": [2] * 10, "test": [2] * 10}
