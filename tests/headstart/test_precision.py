import pytest
import torch
from torch import nn

from headstart.backbone import features_to_train
from headstart.machine import best_precision


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")]
)
def test_cuda(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert best_precision("auto") == best_precision("gpu") == best_precision("cuda") == expected


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True)])
def test_cpu(monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # a GPU that isn't used doesn't matter
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert best_precision("cpu") == ("bf16-mixed" if avx512 or amx else "32-true")


def test_mps() -> None:
    assert best_precision("mps") == "32-true"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_depthwise_convolutions_are_trained_in_float32(dtype: torch.dtype) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1), nn.Flatten())
    found: list[torch.dtype] = []
    for layer in network[:3]:
        layer.register_forward_hook(lambda *seen: found.append(seen[-1].dtype))
    images, zero, one = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8), torch.zeros(1), torch.ones(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        features_to_train(network, images, zero, one).sum().backward()
        assert torch.is_autocast_enabled("cpu") == (dtype == torch.bfloat16)
    assert found == [dtype, torch.float32, dtype]
    assert all(weight.grad is not None and weight.grad.dtype == torch.float32 for weight in network.parameters())
