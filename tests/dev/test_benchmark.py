import json
import runpy
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import benchmark
import pytest
from comparison import runs

TINY = [
    "backbone=torchvision", "backbone.name=mobilenet_v3_small", "backbone.weights=null", "data=folder",
    "trainer.accelerator=cpu", "logger=none",
]  # fmt: skip
RATIOS = {
    "first_pass_vs_ceiling", "cold_vs_plain", "cold_vs_tuned", "warm_vs_imports", "sweep_vs_one", "head_epoch_vs_bare",
}  # fmt: skip


@pytest.mark.slow
def test_the_benchmark_measures_all_it_names(
    workdir: Path, images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_this_process(command: list[str], cwd: Path | None = None) -> float:  # noqa: ARG001
        """Most of a process's time goes into its imports."""
        started = time.perf_counter()
        if command[0] != "-c":
            monkeypatch.setattr(sys, "argv", command)
            runpy.run_path(command[0], run_name="__main__")
        return time.perf_counter() - started

    monkeypatch.setattr(runs, "seconds_of", in_this_process)
    monkeypatch.setattr(benchmark, "PASS_ROUNDS", 1)
    monkeypatch.setattr(runs, "HEADS", ("model.lr=0.001,0.01",))
    benchmark.main(["rounds=1", f"data.root={images}", *TINY])
    found = json.loads((workdir / "logs/benchmark/latest.json").read_text())
    assert found.keys() > RATIOS
    assert all(found[name]["lowest"] <= found[name]["median"] <= found[name]["highest"] for name in RATIOS)
    assert min(value for values in found["seconds"].values() for value in values) > 0
    assert (workdir / "logs/benchmark/latest.png").stat().st_size > 5000
    (rates,) = found["first_pass"]
    others = {"openvino"} if find_spec("openvino") and find_spec("headstart.extras.engines") else set()
    assert rates["forward"].keys() == {"torch"} | others
    assert len(rates["decode"]) == 5
    forward, decode = max(rates["forward"].values()), max(rates["decode"].values())
    assert rates["ceiling"] == pytest.approx(1 / (1 / forward + 1 / decode))
    printed = capsys.readouterr().out
    assert f"decode: {max(rates['decode'], key=rates['decode'].get)}" in printed
    assert found["machine"] in printed.replace("\n", " ")
    assert {path.name for path in workdir.iterdir()} - {".typed"} == {"logs"}


@pytest.mark.slow
def test_it_says_what_it_does_and_the_soak_refuses_what_it_does_not_take(cli) -> None:
    done = cli("scripts/dev/benchmark.py", "--help")
    assert done.returncode == 0, done.stderr
    assert "scripts/dev/benchmark.py" in done.stdout
    done = cli("scripts/dev/soak.py", "50")
    assert done.returncode == 1
    assert done.stderr == "error: soak.py takes kills=NUMBER and seed=NUMBER\n"
