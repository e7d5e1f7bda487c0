import json
from pathlib import Path

import pytest

TINY = (
    "backbone=torchvision", "backbone.name=mobilenet_v3_small", "backbone.weights=null", "data.per_class=[3,1,1]",
    "trainer.accelerator=cpu", "logger=none",
)  # fmt: skip
RATIOS = {
    "first_pass_vs_ceiling", "cold_vs_plain", "cold_vs_tuned", "warm_vs_imports", "sweep_vs_one", "head_epoch_vs_bare",
}  # fmt: skip


@pytest.mark.slow
def test_the_benchmark_measures_all_it_names(cli, workdir: Path) -> None:
    done = cli("scripts/dev/benchmark.py", "rounds=1", *TINY)
    assert done.returncode == 0, done.stderr
    found = json.loads((workdir / "logs/benchmark/latest.json").read_text())
    assert found.keys() > RATIOS
    assert all(found[name]["lowest"] <= found[name]["median"] <= found[name]["highest"] for name in RATIOS)
    assert min(value for values in found["seconds"].values() for value in values) > 0
    assert (workdir / "logs/benchmark/latest.png").stat().st_size > 5000
    assert "first pass" in done.stdout
    assert {path.name for path in workdir.iterdir()} == {"logs", "data"}
