"""What is known of a trained model, to travel with it wherever it is exported to: plain values, for JSON."""

from dataclasses import asdict
from typing import Any

from ...runs import Run

UNKNOWN = "unknown"


def about(run: Run, model: Any) -> dict[str, Any]:
    """Class names, preprocessing, backbone and its licence, metrics and versions of the classifier `model` of a run."""
    spec = {key: value for key, value in model.pretrained.spec.items() if value is not None}
    return {
        "classes": list(model.classes),
        "preprocessing": asdict(model.preprocessing),
        "backbone": spec,
        "backbone_license": license_of(model.backbone, spec),
        "metrics": run.results.get("metrics", {}),
        "versions": run.results.get("versions", {}),
    }


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
