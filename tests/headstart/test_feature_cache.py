"""The feature cache as a data module: features and labels come on one device, whichever that is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from headstart.backbone import Backbone, Preprocessing
from headstart.errors import UserError
from headstart.features.cache import FeatureData
from headstart.features.file import write_rows
from headstart.images.table import ImageTable, Sample

BACKBONE = Backbone(nn.Identity(), 3, Preprocessing(8, 8, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))


def cache_on(device: str, folder: Path, **options: Any) -> FeatureData:
    """A cache whose features are there, for a Trainer on `device`."""
    samples = tuple(Sample(f"{number}.jpg", number % 2) for number in range(4))
    images: Any = SimpleNamespace(table=ImageTable(("a", "b"), samples, samples, samples))
    data = FeatureData(images, BACKBONE, folder, **options)
    trainer: Any = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device(device)), global_rank=0, world_size=1
    )
    data.trainer = trainer
    path = folder / "features.safetensors"
    write_rows(path, (4, 3), 0, [torch.ones(4, 3)], {})
    data.files = {(split, 0): path for split in ("train", "val", "test")}
    return data


@pytest.mark.parametrize("device", ["cpu", "mps", "meta"])
def test_labels_are_where_the_features_are(device: str, tmp_path: Path) -> None:
    data = cache_on(device, tmp_path, full_batch=True)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        for features, labels in loader:
            assert features.device == labels.device == torch.device("cpu")  # Lightning moves each batch


@pytest.mark.parametrize(("free", "wanted"), [(10**6, "meta"), (2 * 4 * 3 * 4, "cpu")])
def test_a_gpu_holds_them_when_they_take_less_than_half_of_its_free_memory(
    free: int, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FakeGpu:
        """A device that calls itself CUDA and holds no values."""

        type = "cuda"

    data = cache_on("cpu", tmp_path)
    data.trainer.strategy.root_device = FakeGpu()  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, free))
    plainly = torch.Tensor.to
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, device: plainly(self, "meta" if isinstance(device, FakeGpu) else device)
    )
    (features, *_), labels = data.split("val")
    assert features.device == labels.device == torch.device(wanted)


@pytest.mark.parametrize("options", [{"views": 0}, {"batch_size": "many"}])
def test_numbers_that_make_no_sense_are_named(options: dict[str, Any], tmp_path: Path) -> None:
    ((key, value),) = options.items()
    with pytest.raises(UserError, match=f"features.{key}={value} must be a whole number"):
        cache_on("cpu", tmp_path, **options)
