"""A run that is stopped anywhere and gone on with is, bit for bit, the run that was never stopped."""

import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image
from runs import Train, assert_equal, go_on, outcome, results, signal_at

LIVE = ["features.cache=false", "data.batch_size=8"]  # 40 training images: 5 batches an epoch
ROADS = {
    "cached": ["head=mlp", "features.batch_size=8"],
    "views": ["head=mlp", "features.batch_size=8", "features.views=2"],
    "live": [*LIVE, "head=mlp", "augment=randaugment", "augment.mixup=0.2", "augment.cutmix=1"],
    "workers": [*LIVE, "head=mlp", "augment=light", "data.num_workers=2"],
    "plateau": [
        "head=mlp", "features.batch_size=8", "~model.scheduler.warmup", "+model.scheduler.patience=0",
        "+trainer.check_val_every_n_epoch=2",
        "model.scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
    ],
    "limits": ["head=mlp", "features.batch_size=8", "+trainer.max_steps=14", "+trainer.val_check_interval=3"],
    # 40 images in 3 batches: one is left over, and joins the last.
    "accumulated": ["norm=batch", "solver=adamw", "features.batch_size=13", "+trainer.accumulate_grad_batches=2"],
    "lbfgs": [],
    "lbfgs live": LIVE,
}  # fmt: skip


FAST = ("cached", "lbfgs")  # in `make check`, too


def stops(road: str) -> list[tuple[int, int]]:
    """Epoch and batch of every signal that one run gets: the first step, a middle one, an epoch's last and first."""
    if road == "lbfgs":  # one batch an epoch
        return [(0, 0), (1, 0), (2, 0)]
    if road == "lbfgs live":  # whose signals wait for the epoch's end
        return [(0, 0), (1, 2), (2, 0)]
    return [(0, 0), (1, 2), *([] if road == "accumulated" else [(1, 4)]), (2, 0)]


@pytest.mark.parametrize("road", [pytest.param(road, marks=() if road in FAST else pytest.mark.slow) for road in ROADS])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(train: Train, monkeypatch: pytest.MonkeyPatch, road: str) -> None:
    options = [*ROADS[road], "trainer.max_epochs=3", "patience=9", "logger=none"]
    train(*options, "hydra.run.dir=logs/runs/whole")
    wanted = outcome(Path("logs/runs/whole"))
    run_dir = Path("logs/runs/stopped")
    for epoch, batch in stops(road):
        with monkeypatch.context() as patch:
            signal_at(patch, epoch, batch)
            with pytest.raises(SystemExit) as caught:
                go_on(patch, f"resume={run_dir}") if run_dir.exists() else train(*options, f"hydra.run.dir={run_dir}")
        assert caught.value.code == 128 + signal.SIGTERM, f"{road}, stopped in epoch {epoch}, batch {batch}"
        assert results(run_dir)["status"] == "interrupted"
    go_on(monkeypatch, f"resume={run_dir}")
    assert_equal(outcome(run_dir), wanted, road)


ENDS = {  # by what a run ends in the middle of an epoch of 5 batches, and what is said to go on with it, twice
    "max_steps": (["+trainer.max_steps=7", "patience=99"], ["trainer.max_steps=9"], ["trainer.max_steps=14"]),
    "patience": (["+trainer.val_check_interval=2", "patience=0"], ["patience=2"], ["patience=4"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_has_ended_in_an_epoch_goes_on_there(
    train: Train, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    options = ["head=mlp", "features.batch_size=8", "model.scheduler=null", "trainer.max_epochs=4", "logger=none"]
    # No weight moves, so no score improves; the order of the images alone tells by the loss what was trained on.
    options += ["model.lr=0"] if end == "patience" else []
    first, *more = ENDS[end]
    train(*options, *first, *more[-1], "hydra.run.dir=logs/runs/whole")
    train(*options, *first, "hydra.run.dir=logs/runs/ended")
    for said in more:
        go_on(monkeypatch, "resume=logs/runs/ended", *said)
    assert_equal(outcome(Path("logs/runs/ended")), outcome(Path("logs/runs/whole")), end)


@pytest.mark.slow
def test_so_does_a_run_on_large_images_whose_small_copies_were_pruned_meanwhile(
    train: Train, images: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in images.rglob("*.jpg"):
        large = workdir / "large" / path.relative_to(images)
        large.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).resize((1030, 1030)).save(large)
    options = [*LIVE, "head=mlp", "augment=flip", "patience=9", "logger=none", f"data.root={workdir / 'large'}"]
    train(*options, "hydra.run.dir=logs/runs/whole")
    wanted = outcome(Path("logs/runs/whole"))
    assert len(list(Path("data/shrunk").iterdir())) == 40  # those that are trained on
    with monkeypatch.context() as patch:
        signal_at(patch, 1, 2)
        with pytest.raises(SystemExit):
            train(*options, "hydra.run.dir=logs/runs/stopped")
    shutil.rmtree("data/shrunk")
    go_on(monkeypatch, "resume=logs/runs/stopped")
    assert_equal(outcome(Path("logs/runs/stopped")), wanted)
    assert any(Path("data/shrunk").iterdir())  # made anew; tests/headstart/test_shrunk.py knows their pixels
