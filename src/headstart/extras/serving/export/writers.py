"""The file of each format in a folder, with what is known of the model in it, and how it is used."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ....errors import UserError
from ....files import write_atomically
from ....machine import hidden
from ..plain import Plain
from .formats import FORMATS
from .loaded import Usage
from .network import OfAnySize, Probabilities, can_resize, program_of

TELEMETRY = "openvino_telemetry"  # which OpenVINO and NNCF do without, where it can't be imported
IMAGES, OUTPUT = "images", "probabilities"
CROPPED = "uint8 RGB images [batch, 3, {crop}, {crop}], resized and cropped as preprocessing says"
ANY_SIZE = "uint8 RGB images [batch, 3, height, width] of any size, on a CPU"
FLOATS = "float32 RGB images [batch, 3, {crop}, {crop}], resized, cropped, and normalised: (pixel / 255 - mean) / std"
NO_GRADIENTS = "torch.set_grad_enabled(False)  # to predict"
F32 = '{"INFERENCE_PRECISION_HINT": "f32"}'
ONNX = Usage(
    'import onnxruntime\n\nsession = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])',
    'session.run(None, {"images": images})[0]',
)
OPENVINO = Usage(
    f'import openvino\n\nmodel = openvino.Core().compile_model("{{file}}", "CPU", {F32})',
    "model(images)[0]",
)


class Source(NamedTuple):
    """A model to export: the classifier, the same as a plain network, what is known of it, and whose class it is."""

    model: Any
    plain: Plain
    about: dict[str, Any]
    checkpoint: Path

    @property
    def owner(self) -> str:
        """The package of the classifier."""
        return type(self.model).__module__.partition(".")[0]

    def says(self, takes: str, gives: str, usage: Usage) -> dict[str, Any]:
        """What a file tells of itself."""
        takes = takes.format(crop=self.about["preprocessing"]["crop"])
        needs = ["this project"] if not self.plain.library and gives == "logits" else []
        return {**self.about, "takes": takes, "gives": gives, "load": usage.load, "run": usage.run, "needs": needs}


def write(name: str, source: Source, folder: Path) -> Usage:
    """Write a format's file into a folder; raises UserError for a network that can't be exported so."""
    try:
        with exporting():
            return WRITERS[name](source, folder)
    except UserError:
        raise
    except Exception as error:  # whatever an exporter meets in one of thousands of networks
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"{name} can't express this network: {type(error).__name__}: {first}") from error


@contextmanager
def exporting() -> Iterator[None]:
    """Without what exporters say to those who work on them: what is wrong with a file, its comparison finds."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(level)


def write_pt(source: Source, folder: Path) -> Usage:
    """The whole plain nn.Module, and a JSON file beside it."""
    file = FORMATS["pt"].file
    torch.save(source.plain.network, folder / file)
    load = f'model = torch.load("{file}", weights_only=False)  # which can run code: only for files that you trust'
    return _beside(source, folder / file, f"import torch\n\n{load}\n{NO_GRADIENTS}")


def write_state_dict(source: Source, folder: Path) -> Usage:
    """Its OrderedDict, and a JSON file beside it."""
    file = FORMATS["state_dict"].file
    torch.save(source.plain.network.state_dict(), folder / file)
    return _beside(source, folder / file, _into(source, "import torch", f'torch.load("{file}", weights_only=True)'))


def write_safetensors(source: Source, folder: Path) -> Usage:
    """The same tensors, with what is known of the model in the header."""
    from safetensors.torch import save

    file = FORMATS["safetensors"].file
    imports = "import torch\nfrom safetensors.torch import load_file"
    usage = _plainly(source, _into(source, imports, f'load_file("{file}")'))
    says = as_text(source.says(FLOATS, "logits", usage))
    tensors = {name: value.detach().clone().contiguous() for name, value in source.plain.network.state_dict().items()}
    write_atomically(folder / file, save(tensors, metadata=says))
    return usage


def write_torch_export(source: Source, folder: Path) -> Usage:
    """A program of torch.export, which resizes and crops by itself where the preprocessing can be said in it."""
    file, any_size = FORMATS["torch_export"].file, can_resize(source.model.preprocessing)
    network: nn.Module = Probabilities(source.model)
    crop, open_dims = source.model.preprocessing.crop, (0,)
    example = torch.zeros(2, 3, crop, crop, dtype=torch.uint8)
    if any_size:
        network, open_dims = OfAnySize(network, source.model.preprocessing), (0, 2, 3)
        example = torch.zeros(2, 3, crop + 33, crop + 55, dtype=torch.uint8)
    program = program_of(network, example, open_dims)
    usage = Usage(
        f'import torch\n\nmodel = torch.export.load("{file}").module()\n{NO_GRADIENTS}',
        "model(images)",
        _not_ours(source),
    )
    says = source.says(ANY_SIZE if any_size else CROPPED, OUTPUT, usage)
    torch.export.save(program, folder / file, extra_files={"about.json": json.dumps(says)})
    return usage


def write_onnx(source: Source, folder: Path) -> Usage:
    """An ONNX model; what is known of it is in its metadata_props."""
    file, crop = FORMATS["onnx"].file, source.model.preprocessing.crop
    program = program_of(Probabilities(source.model), torch.zeros(2, 3, crop, crop, dtype=torch.uint8), (0,))
    made: Any = torch.onnx.export(
        program,
        dynamo=True,
        input_names=[IMAGES],
        output_names=[OUTPUT],
        dynamic_shapes={IMAGES: {0: "batch"}},
        verbose=False,
    )
    usage = no_torch(source, ONNX, file)
    made.model.metadata_props.update(as_text(source.says(CROPPED, OUTPUT, usage)))
    made.save(folder / file)
    return usage


def write_openvino(source: Source, folder: Path) -> Usage:
    """OpenVINO's two files, in float32, made of the ONNX one; what is known of it is in its rt_info."""
    with hidden(TELEMETRY):
        import openvino
    file = FORMATS["openvino"].file
    made = folder / FORMATS["onnx"].file
    if not made.exists():
        write_onnx(source, folder)
    network = openvino.Core().read_model(made)
    usage = no_torch(source, OPENVINO, file)
    for key, value in as_text(source.says(CROPPED, OUTPUT, usage)).items():
        network.set_rt_info(value, ["headstart", key])
    openvino.save_model(network, folder / file, compress_to_fp16=False)
    return usage


def no_torch(source: Source, usage: Usage, file: str) -> Usage:
    """How a file is used in a process that imports no PyTorch."""
    return Usage(usage.load.replace("{file}", file), usage.run, ("torch", TELEMETRY, *_not_ours(source)))


def _into(source: Source, imports: str, tensors: str) -> str:
    """Lines that make the architecture and put the tensors into it."""
    code = source.plain.code or (
        "from headstart.extras.serving.plain import plain_network\nfrom headstart.predictor import load_classifier\n\n"
        f'model = plain_network(load_classifier("{source.checkpoint.absolute()}")).network'
    )
    return f"{imports}\n{code}\nmodel.load_state_dict({tensors})\nmodel.eval()\n{NO_GRADIENTS}"


def _plainly(source: Source, load: str) -> Usage:
    return Usage(load, "model(images)", _not_ours(source) if source.plain.library else ())


def _not_ours(source: Source) -> tuple[str, ...]:
    return "headstart", source.owner


def _beside(source: Source, file: Path, load: str) -> Usage:
    usage = _plainly(source, load)
    write_atomically(file.with_name(f"{file.name}.json"), json.dumps(source.says(FLOATS, "logits", usage), indent=2))
    return usage


def as_text(says: dict[str, Any]) -> dict[str, str]:
    """Texts as they are, and everything else as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in says.items()}


WRITERS: dict[str, Callable[[Source, Path], Usage]] = {
    "pt": write_pt,
    "state_dict": write_state_dict,
    "safetensors": write_safetensors,
    "torch_export": write_torch_export,
    "onnx": write_onnx,
    "openvino": write_openvino,
}
