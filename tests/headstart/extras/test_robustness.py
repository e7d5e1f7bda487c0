"""Images that are shifted: still images of the same size, worse with every strength, and the same each time."""

import pytest
import torch
from torch import Tensor

from headstart.extras.robustness import NUMBER, SHIFTS, blur, robustness


def photos(count: int = 4, side: int = 32) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    small = torch.randint(40, 215, (count, 3, 8, 8), generator=rng).float()
    return torch.nn.functional.interpolate(small, size=side, mode="bilinear").to(torch.uint8)


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift(name: str) -> None:
    shift, _, strengths = SHIFTS[name]
    images = photos(side=96)
    before = images.clone()
    changes = []
    for strength in strengths:
        found = shift(images, strength)
        assert (found.dtype, found.shape) == (images.dtype, images.shape)
        assert torch.equal(found, shift(images, strength))
        assert torch.equal(found[1:], shift(images[1:], strength)), "an image depends on its batch"
        changes.append((found.float() - images.float()).abs().mean().item())
    assert 0 < changes[0] < changes[1] < changes[2]
    assert torch.equal(images, before)


def test_a_blur_is_as_wide_as_the_crop_is_large() -> None:
    small, large = (photos(1, side) for side in (112, 224))
    half = torch.nn.functional.avg_pool2d(blur(large, 4).float(), 2)
    assert (half - blur(small, 4).float()).abs().mean() < 3


def test_the_table_counts_what_is_right() -> None:
    images, labels = photos(6), torch.tensor([1, 1, 0, 1, 1, 0])

    def predict(some: Tensor) -> Tensor:
        """Class 1, unless an image is dark."""
        bright = some.float().mean(dim=(1, 2, 3)) > 70
        return torch.stack([~bright, bright], dim=1).float()

    rows = robustness(predict, zip(images.split(4), labels.split(4), strict=True))
    assert len(rows) == NUMBER == 16
    assert rows[0] == ("none", "", pytest.approx(4 / 6), 0.0)
    found = {row.strength: (row.accuracy, row.difference) for row in rows if row.shift == "brightness"}
    assert found["times 0.7"] == (pytest.approx(4 / 6), 0.0)
    assert found["times 0.4"] == found["times 0.2"] == (pytest.approx(2 / 6), pytest.approx(-2 / 6))
    assert rows == robustness(predict, [(images, labels)])
