"""What a model can be exported to, and what that needs."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ....errors import UserError, did_you_mean

INT8 = "-int8"  # behind a format's name


class Format(NamedTuple):
    """The file that an export makes; the packages that it takes, beyond PyTorch."""

    file: str
    packages: tuple[str, ...] = ()


FORMATS = {
    "pt": Format("model.pt"),  # torch.save of the whole nn.Module
    "state_dict": Format("state_dict.pt"),
    "safetensors": Format("model.safetensors"),
    "torch_export": Format("model.pt2"),
    "onnx": Format("model.onnx", ("onnx", "onnxscript", "onnxruntime")),
    "openvino": Format("model.xml", ("onnx", "onnxscript", "openvino")),
}
QUANTISED = {
    f"onnx{INT8}": Format("model_int8.onnx", FORMATS["onnx"].packages),
    f"openvino{INT8}": Format("model_int8.xml", (*FORMATS["openvino"].packages, "nncf")),
}


def chosen(names: Iterable[str], int8: bool = False) -> list[str]:
    """The formats that were asked for, each once, and those in int8 behind their own in float32.

    Raises UserError for one that there isn't, or whose packages are not installed.
    """
    wanted: list[str] = []
    for name in names:
        if name not in FORMATS:
            raise UserError(f"there is no format {name!r}; {did_you_mean(name, FORMATS)}choose {', '.join(FORMATS)}")
        wanted += [name, *([f"{name}{INT8}"] if int8 and f"{name}{INT8}" in QUANTISED else [])]
    if not wanted:
        raise UserError(f"no format: choose {', '.join(FORMATS)}, or several with commas")
    if int8 and not QUANTISED.keys() & set(wanted):
        raise UserError("--int8 is for the formats onnx and openvino: name one of them")
    found = FORMATS | QUANTISED
    missing = {package for name in wanted for package in found[name].packages if find_spec(package) is None}
    if missing:
        raise UserError(f"{', '.join(wanted)}: {', '.join(sorted(missing))} not installed: pip install -e .[export]")
    return list(dict.fromkeys(wanted))


def writable(folder: Path) -> Path:
    """The folder, which is made; raises UserError where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryDirectory(prefix=".export-", dir=folder).cleanup()
    except OSError as error:
        raise UserError(f"{folder} can't be written to ({error.strerror}): choose another folder by --to") from error
    return folder
