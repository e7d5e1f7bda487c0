"""Exported files in int8, calibrated on training images; what they lose is measured on others."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import UserError
from ....images.loading import threads
from ....machine import hidden
from ....predictor import AnyImage, Predictor
from .formats import FORMATS, INT8, QUANTISED
from .loaded import Usage
from .writers import CROPPED, IMAGES, ONNX, OPENVINO, OUTPUT, TELEMETRY, Source, as_text, exporting, no_torch

CALIBRATION = 256  # images: more change nothing that can be measured


def quantise(name: str, source: Source, folder: Path, images: NDArray[np.uint8]) -> Usage:
    """Write a file in int8 beside the one in float32 in `folder`; raises UserError where that can't be done.

    `images` uint8 [images, 3, crop, crop] are those to calibrate on.
    """
    single, file = folder / FORMATS[name.removesuffix(INT8)].file, folder / QUANTISED[name].file
    usage = no_torch(source, ONNX if name.startswith("onnx") else OPENVINO, file.name)
    says = as_text(source.says(CROPPED, OUTPUT, usage))
    try:
        with exporting():
            (_by_onnxruntime if name.startswith("onnx") else _by_nncf)(single, file, images, says)
    except Exception as error:  # whatever a quantiser meets in one of thousands of networks
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"{name} can't be made of this network: {type(error).__name__}: {first}") from error
    return usage


def calibration_images(predictor: Predictor, images: Sequence[AnyImage]) -> NDArray[np.uint8]:
    """Some of the training images, drawn by a seed, as the model takes them."""
    drawn = np.random.default_rng(0).permutation(len(images))[:CALIBRATION]
    return np.stack([image.numpy() for image in threads().map(predictor.read, [images[i] for i in drawn])])


def _by_onnxruntime(single: Path, file: Path, images: NDArray[np.uint8], says: dict[str, str]) -> None:
    """Whole range of values, per channel: percentiles took ten times as long and were no better."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[Any] = iter([{IMAGES: images[i : i + 16]} for i in range(0, len(images), 16)])

        def get_next(self) -> Any:
            return next(self.batches, None)

    prepared = single.with_name("prepared.onnx")
    quant_pre_process(single, prepared)
    types: dict[str, Any] = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(prepared, file, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, **types)
    prepared.unlink()
    network = onnx.load(file)
    onnx.helper.set_model_props(network, says)
    onnx.save(network, file)


def _by_nncf(single: Path, file: Path, images: NDArray[np.uint8], says: dict[str, str]) -> None:
    """With NNCF's correction of biases, and its own way with attention."""
    with hidden(TELEMETRY):
        import nncf
        import openvino
    network = openvino.Core().read_model(single)
    softmaxes = sum(operation.get_type_name() == "Softmax" for operation in network.get_ops())
    kind = nncf.ModelType.TRANSFORMER if softmaxes > 1 else None  # the last one makes probabilities
    data = nncf.Dataset([images[i : i + 1] for i in range(len(images))])
    made = nncf.quantize(network, data, subset_size=len(images), model_type=kind)
    for key, value in says.items():
        made.set_rt_info(value, ["headstart", key])
    openvino.save_model(made, file, compress_to_fp16=False)
