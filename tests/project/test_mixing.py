import pytest
import torch
from runs import Train, results
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name everybody gives it)

from headstart.images.mixing import Mixing
from project.backbones.torchvision import from_torchvision
from project.model import heads
from project.model.classifier import Classifier


def batch(count: int = 8) -> tuple[Tensor, Tensor]:
    """Flat images, each in its own grey, and as many classes."""
    greys = torch.arange(count, dtype=torch.uint8) * 30
    return greys.view(-1, 1, 1, 1).expand(count, 3, 16, 16).contiguous(), torch.arange(count)


@pytest.mark.parametrize("seed", range(5))
def test_mixup_blends_neighbours_and_their_labels_alike(seed: int) -> None:
    torch.manual_seed(seed)
    images, labels = batch()
    mixed, shares = Mixing(8, mixup=1.0)(images, labels)
    assert (mixed.dtype, shares.dtype) == (torch.uint8, torch.float32)
    assert torch.allclose(shares.sum(dim=1), torch.ones(8))
    assert ((shares > 0).sum(dim=1) == 2).all()
    wanted = shares @ images[:, 0, 0, 0].float()
    assert (mixed - wanted.view(-1, 1, 1, 1)).abs().max() <= 0.5001  # a rounding


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_gives_each_label_its_share_of_the_pixels(seed: int) -> None:
    torch.manual_seed(seed)
    images, labels = batch()
    mixed, shares = Mixing(8, cutmix=1.0)(images, labels)
    assert torch.allclose(shares.sum(dim=1), torch.ones(8))
    for row in range(8):
        own = (mixed[row] == images[row]).float().mean()
        assert float(own) == pytest.approx(float(shares[row, row]), abs=1e-5)
        assert set(mixed[row].unique().tolist()) <= {30 * row, 30 * ((row - 1) % 8)}


def test_of_both_each_batch_draws_one() -> None:
    mix, blended = Mixing(8, mixup=1, cutmix=1), 0  # whole numbers, as people type them
    for seed in range(40):
        torch.manual_seed(seed)
        mixed, _ = mix(*batch())
        blended += not set(mixed.unique().tolist()) <= set(range(0, 240, 30))
    assert 8 < blended < 32


def test_features_are_refused() -> None:
    with pytest.raises(AssertionError, match="features"):
        Mixing(2, mixup=1.0)(torch.randn(4, 7), torch.tensor([0, 1, 0, 1]))


def test_training_alone_mixes_and_hits_count_the_larger_share(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Classifier(from_torchvision("mobilenet_v3_small", weights=None), heads.linear, "ab", label_smoothing=0.1)
    images, labels = torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.tensor([0, 1])
    soft = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
    asked: list[Tensor] = []
    model.mix = lambda images, _: (asked.append(images) or images, soft)
    monkeypatch.setattr(model, "log", lambda *_, **__: None)
    monkeypatch.setattr(model, "log_dict", lambda *_: None)
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0]])
    monkeypatch.setattr(model, "forward", lambda _: logits)
    model.eval().validation_step((images, labels), 0)
    model.test_step((images, labels), 0)
    assert not asked
    step = model.train().training_step((images, labels), 0)
    assert len(asked) == 1
    assert step is not None
    wanted = -((0.9 * soft + 0.05) * logits.log_softmax(dim=1)).sum(dim=1).mean()
    assert step["loss"] == pytest.approx(float(wanted))
    assert (int(step["hits"]), step["images"]) == (1, 2)
    assert F.cross_entropy(logits, soft) != step["loss"]  # smoothing counts, too


@pytest.mark.slow
def test_a_sweep_over_presets_and_mixing_runs_and_its_checkpoint_needs_nothing(train: Train) -> None:
    one = "trainer.max_epochs=1"
    runs = train("-m", "augment=none,trivial", "augment.mixup=0.2", "augment.cutmix=1", "logger=none", one)
    assert [results(run)["status"] for run in runs] == ["finished", "finished"]
    for run in runs:
        model = Classifier.load_from_checkpoint(run / "checkpoints" / "best.ckpt")
        assert model.mix is None
