"""A run whose folders have names that no grammar likes: trained, tested, drawn and gone on with, as it is typed."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest
from runs import ROOT, TINY, Train, go_on, results

ODD = "lr=0.1 ä (1), [x] {y} it's $5"


def script(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(ROOT / f"scripts/{name}.py"), run_name="__main__")


@pytest.mark.slow
def test_every_script_takes_what_train_py_made(
    train: Train, workdir: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(workdir))
    shutil.copytree(images, workdir / ODD)
    run_dir = Path("runs") / ODD
    train("data=folder", f"data.root=~/{ODD}", f"hydra.run.dir={run_dir}", f"features.dir=features {ODD}", *TINY)
    score = f"{results(run_dir)['metrics']['test/accuracy']:.4f}"
    shutil.copy(run_dir / "checkpoints" / "best.ckpt", "epoch=3.ckpt")
    checkpoints = [[str(run_dir)], [f"{run_dir}/checkpoints/best.ckpt"]]
    for arguments in [*checkpoints, ["epoch=3.ckpt", "data=folder", f"data.root={ODD}"]]:
        capsys.readouterr()
        script(monkeypatch, "evaluate", *arguments)
        assert score in capsys.readouterr().out
    script(monkeypatch, "report", f"{run_dir}/")
    monkeypatch.setattr(sys, "argv", ["features", f"--dir=~/features {ODD}", "list"])
    runpy.run_path(str(ROOT / "scripts/features.py"), run_name="__main__")
    assert "0 files" not in capsys.readouterr().out
    go_on(monkeypatch, f"resume={run_dir}", "trainer.max_epochs=3")
    assert len((run_dir / "metrics.csv").read_text().splitlines()) == 1 + 3
    with pytest.raises(SystemExit, match="which run"):
        script(monkeypatch, "evaluate", "data=folder")
