from pathlib import Path

import live
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("way", [["strategy=finetune"], ["augment=flip", "head=mlp"]])
def test_a_run_is_measured_beside_the_bare_loop(
    workdir: Path, images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: list[str]
) -> None:
    tiny = ["backbone=torchvision", "backbone.name=mobilenet_v3_small", "backbone.weights=null"]
    monkeypatch.setattr(live, "WAYS", ([*way, *tiny],))
    for name, value in {"ROUNDS": 2, "WARM": 1, "BATCHES": 3}.items():
        monkeypatch.setattr(live, name, value)
    live.main(["data=folder", f"data.root={images}", "data.batch_size=8", "trainer.accelerator=cpu"])
    *_, row = capsys.readouterr().out.splitlines()
    _, name, ours, bare, ratio, _ = row.split("|")
    assert name.split() == [*way, *tiny]
    assert float(ours) > 0
    assert float(bare) > 0
    assert "-" in ratio
    assert {path.name for path in workdir.iterdir()} <= {"data", ".typed"}
