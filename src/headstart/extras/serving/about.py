"""What is known of a trained model, to travel with it wherever it is exported to: plain values, for JSON."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...files import WEIGHTS_SUFFIXES
from ...runs import Run

UNKNOWN = "unknown"


def about(run: Run, model: Any) -> dict[str, Any]:
    """Class names, preprocessing, backbone and its licence, metrics and versions of the classifier `model` of a run."""
    spec = {key: value for key, value in model.pretrained.spec.items() if value is not None}
    said = {key: without_folder(value) for key, value in spec.items()}
    return {
        "classes": list(model.classes),
        "preprocessing": asdict(model.preprocessing),
        "backbone": said,
        "backbone_license": license_of(model.backbone, spec),
        "metrics": run.results.get("metrics", {}),
        "versions": run.results.get("versions", {}),
    }


def without_folder(value: Any) -> Any:
    """A value of a backbone's spec; of a path the last part alone, as the others are this machine's and its user's."""
    is_path = isinstance(value, str) and (
        value.startswith(("/", "~", ".", "\\"))
        or value[1:2] == ":"
        or value.endswith(WEIGHTS_SUFFIXES)
        or Path(value).exists()
    )
    return re.split(r"[/\\]", value.rstrip("/\\"))[-1] if is_path else value


def license_of(network: Any, spec: dict[str, Any]) -> str:
    """The licence of a backbone's pretrained weights, as timm and torchvision name it; "unknown" of any other.

    torchvision's weights come under its own licence, BSD 3-Clause, unless their metadata names another.
    """
    if spec.get("weights") is None:
        return "none (random weights)"
    config = getattr(network, "pretrained_cfg", None) or {}
    if config.get("license"):
        return str(config["license"])
    if not type(network).__module__.startswith("torchvision."):
        return UNKNOWN
    from torchvision.models import get_model_weights

    known = get_model_weights(spec["name"]).__members__
    return str(known[spec["weights"]].meta.get("license", "bsd-3-clause")) if spec["weights"] in known else UNKNOWN
