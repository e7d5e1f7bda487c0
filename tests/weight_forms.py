"""The forms in which weights are found in the wild, made of a donor's state dict; and what a message has to say."""

# ruff: noqa: ARG005

from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

State = dict[str, Tensor]
Load = Callable[[str, str | None], nn.Module]  # the network without classifier for a file's path and a weights_key


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def cast(state: State, dtype: torch.dtype) -> State:
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}


def averaged(state: State) -> State:
    return {"n_averaged": torch.tensor(3), **under("module.", state)}


# Name of the file, and what is in it, of a state dict and another of the same network.
LOADED: dict[str, tuple[str, Callable[[State, State], Any]]] = {
    "plain": ("w.pth", lambda a, b: a),
    "ordered": ("w.pt", lambda a, b: OrderedDict((n, nn.Parameter(v, v.is_floating_point())) for n, v in a.items())),
    "imagenet example": ("w.pth.tar", lambda a, b: {"epoch": 3, "arch": "x", "state_dict": under("module.", a)}),
    "th": ("w.th", lambda a, b: {"net": a}),
    "pkl": ("w.pkl", lambda a, b: {"network": a}),
    "no suffix": ("w", lambda a, b: {"model_state_dict": a, "optimizer_state_dict": {"state": {0: {"step": 1}}}}),
    "odd suffix": ("w.epoch-7", lambda a, b: {"model": a, "ema": None}),
    "safetensors": ("w.safetensors", lambda a, b: a),
    "safetensors by another name": ("w.bin", lambda a, b: a),
    "torch by safetensors' name": ("odd.safetensors", lambda a, b: a),
    "lightning": ("w.ckpt", lambda a, b: {"state_dict": under("model.backbone.", a), "pytorch-lightning_version": "2"}),
    "compiled": ("w.pth", lambda a, b: under("_orig_mod.module.", a)),
    "ema alone": ("w.pth", lambda a, b: {"state_dict_ema": a}),
    "teacher alone": ("w.pth", lambda a, b: {"teacher": under("module.backbone.", a), "epoch": 3}),
    "student alone": ("w.pth", lambda a, b: {"student": under("backbone.", a), "dino_loss": {"center": torch.ones(9)}}),
    "model_ema": ("w.pth", lambda a, b: {"model_ema": a, "args": Namespace(lr=0.1)}),
    "averaged": ("w.pth", lambda a, b: averaged(a)),
    "mappings in each other": ("w.pth", lambda a, b: {"ckpt": {"model": {"encoder": a, "head": {"x": torch.ones(1)}}}}),
    "moco": ("w.pth", lambda a, b: {"queue": torch.ones(4), **under("encoder_q.", a)}),
    "half": ("w.pth", lambda a, b: cast(a, torch.float16)),
    "bfloat16": ("w.safetensors", lambda a, b: cast(a, torch.bfloat16)),
    "double": ("w.pth", lambda a, b: cast(a, torch.float64)),
    "before batches were counted": ("w.pth", lambda a, b: {n: v for n, v in a.items() if "num_batches" not in n}),
    "equal copies": ("w.pth", lambda a, b: {"student": a, "teacher": {n: v.clone() for n, v in a.items()}}),
    "lightning, averaging": (
        "w.ckpt",
        lambda a, b: {"state_dict": a, "callbacks": {"Ema": {"weights": b}}, "pytorch-lightning_version": "2"},
    ),
    "whole beside half": ("w.pth", lambda a, b: {"old": dict(list(b.items())[:-9]), "new": a}),
    "teacher, by key": ("w.pth", lambda a, b: {"student": b, "teacher": a}),
    "encoder_k, by key": (
        "w.pth",
        lambda a, b: {"state_dict": {**under("m.encoder_q.", b), **under("m.encoder_k.", a)}},
    ),
    "., by key": ("w.pth", lambda a, b: {**a, "ema": b}),
    "model, by key": ("w.pth", lambda a, b: {"model_ema": {"model": b}, "model": a}),
}


class Module(nn.Module):
    """Saved whole, as torch's tutorials warn against."""


def no_number(state: State, value: float) -> State:
    name = next(name for name, tensor in state.items() if tensor.ndim > 1)
    return state | {name: torch.full_like(state[name], value)}


def within_itself(state: State) -> dict[str, Any]:
    content: dict[str, Any] = {"model": state}
    content["self"] = content
    return {"self": content}


KEY = "add backbone.weights_key="
SAVE = "write torch.save(model.state_dict(), "
OTHER = "choose the backbone that it was made for"
# The same, and what the message says beside the file's name; bytes are the file itself.
REFUSED: dict[str, tuple[str, Callable[[State, State], Any], tuple[str, ...]]] = {
    "student and teacher": ("w.pth", lambda a, b: {"student": a, "teacher": b}, ("student, teacher", KEY)),
    "beside its average": ("w.pth", lambda a, b: {"state_dict": a, "state_dict_ema": b}, ("state_dict_ema", KEY)),
    "momentum": (
        "w.pth",
        lambda a, b: {**under("backbone_momentum.", b), **under("backbone.", a)},
        ("backbone_momentum, backbone", KEY),
    ),
    "three": ("w.pth", lambda a, b: {"a": {"x": a, "y": b}, "b": cast(a, torch.float16)}, ("a.x, a.y, b", KEY)),
    "no such copy, by key": ("w.pth", lambda a, b: {"student": a, "ema": b}, ("weights_key=teacher", "ema, student")),
    "half of it": ("w.pth", lambda a, b: {"net": dict(list(a.items())[: len(a) // 2])}, ("missing", "net", OTHER)),
    "all but one": ("w.pth", lambda a, b: dict(list(a.items())[1:]), ("1 missing", OTHER)),
    "another network": ("w.pth", lambda a, b: nn.Linear(2, 2).state_dict(), ("none of", "bias, weight")),
    "another shape": (
        "w.pth",
        lambda a, b: {n: v[:1] if v.ndim > 1 else v for n, v in a.items()},
        ("another shape", OTHER),
    ),
    "whole numbers": (
        "w.pth",
        lambda a, b: {n: v.to(torch.int8) for n, v in a.items()},
        ("torch.int8", "another type"),
    ),
    "sparse": ("w.pth", lambda a, b: {n: v.to_sparse() for n, v in a.items()}, ("sparse", "another type")),
    "without values": ("w.pth", lambda a, b: {n: v.to("meta") for n, v in a.items()}, ("without values",)),
    "nan": ("w.pth", lambda a, b: no_number(a, torch.nan), ("NaN or infinity in 1", "take")),
    "infinity": ("w.safetensors", lambda a, b: no_number(a, -torch.inf), ("NaN or infinity in 1", "take")),
    "too large a number": ("w.pth", lambda a, b: no_number(cast(a, torch.float64), 1e300), ("NaN or infinity in 1",)),
    "optimizer": ("w.pth", lambda a, b: {"epoch": 3, "optimizer": {"state": {}}}, ("epoch, optimizer",)),
    "a list": ("w.pth", lambda a, b: [a], ("list", SAVE)),
    "a module": ("w.pth", lambda a, b: Module(), ("weight_forms.Module", SAVE)),
    "a module beside": ("w.pth", lambda a, b: {"state_dict": a, "model": Module()}, ("weight_forms.Module", SAVE)),
    "itself": ("w.pth", lambda a, b: within_itself({"x": torch.ones(1)}), ("none of", "self")),
    "nothing": ("w.pth", lambda a, b: {}, ("keys are none",)),
    "empty": ("w.pth", lambda a, b: b"", ("it is empty",)),
    "a web page": ("w.pth", lambda a, b: b"<!DOCTYPE html>", ("web page", "download")),
    "a pointer": ("w.safetensors", lambda a, b: b"version https://git-lfs.github.com/spec/v1\n", ("git lfs pull",)),
    "of numpy": ("w.npz", lambda a, b: b"PK\x03\x04\x14\x00\x00\x00", ("can't be read", SAVE)),
    "of keras": ("w.h5", lambda a, b: b"\x89HDF\r\n\x1a\n\0\0", ("can't be read", SAVE)),
    "a broken header": ("w.safetensors", lambda a, b: b"\xff" * 8 + b"{}", ("can't be read", SAVE)),
    "nobody": ("w.pth", lambda a, b: None, ("there is no weights file",)),
    "names of several lines": ("w.pth", lambda a, b: {"x\ny" * 300: torch.ones(1)}, ("none of",)),
}


def write(path: Path, content: Any) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.name in ("w.safetensors", "w.bin"):
        save_file({name: value.contiguous().clone() for name, value in content.items()}, path)
    elif content is not None:
        torch.save(content, path)


def check_loaded(form: str, donor: State, other: State, load: Load, folder: Path) -> None:
    """A form is loaded as a whole, and bit for bit."""
    name, make = LOADED[form]
    write(folder / name, make(donor, other))
    network = load(str(folder / name), form.partition(", by ")[0] if ", by " in form else None)
    wanted = make(donor, other) if form in ("half", "bfloat16") else donor
    assert network.state_dict()
    for key, value in network.state_dict().items():
        if "num_batches" not in key:
            assert torch.equal(value, wanted[key].to(value.dtype)), key


def check_refused(form: str, donor: State, other: State, load: Load, folder: Path) -> None:
    """A form is refused in one line that names the file, and what was found or can be done."""
    name, make, parts = REFUSED[form]
    write(folder / name, make(donor, other))
    with pytest.raises(ValueError, match=r"\A[^\n]{1,1500}\Z") as error:
        load(str(folder / name), "teacher" if ", by " in form else None)
    assert [part for part in (str(folder / name), *parts) if part not in str(error.value)] == [], str(error.value)
