import pytest
import torch

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
