"""A frozen network as OpenVINO computes it on this machine's CPU."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ...machine import hidden

TELEMETRY = "openvino_telemetry"  # reports to Google on what is converted; where it isn't there, OpenVINO does without
ABSL = "absl"  # whose log OpenVINO would set up, and which may close the stderr that it found


class OpenVino(nn.Module):
    """Features [batch, num_features] in float32 for normalised images [batch, 3, height, width], by OpenVINO.

    `network` is traced with `images`, in float32; `bf16` lets OpenVINO compute in bfloat16. It takes as many threads as
    PyTorch does. Raises what OpenVINO and the tracing raise for a network that they can't take.
    """

    def __init__(self, network: nn.Module, images: Tensor, bf16: bool) -> None:
        super().__init__()
        with hidden(TELEMETRY), hidden(ABSL), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that tracing is deprecated, and that it takes sizes for constants
            import openvino
            from openvino.preprocess import PrePostProcessor

            # As OpenVINO would by itself, but once: it compares what comes out, which whoever calls this does, too.
            traced: Any = torch.jit.trace(network, images, check_trace=False, strict=False)
            model = openvino.convert_model(traced, example_input=images)
            model.reshape([-1, *images.shape[1:]])
            # Our images have their channels last in memory, and needn't be copied.
            steps = PrePostProcessor(model)
            steps.input().tensor().set_layout(openvino.Layout("NHWC"))
            steps.input().model().set_layout(openvino.Layout("NCHW"))
            options = {
                "PERFORMANCE_HINT": "LATENCY",  # all threads for one batch
                "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "ENABLE_CPU_PINNING": False,  # else the jobs of a sweep all sit on the first cores
            }
            self.compiled = openvino.Core().compile_model(steps.build(), "CPU", options)

    def forward(self, images: Tensor) -> Tensor:
        """Features [batch, num_features]."""
        rows = images.permute(0, 2, 3, 1).contiguous().numpy()
        return torch.from_numpy(self.compiled(rows)[0])
