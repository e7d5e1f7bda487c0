"""Transfer learning on images: a frozen pretrained backbone with a trainable head."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .predictor import load as load

__version__ = "0.1.0"  # of the engine; the distribution, and its name in pyproject.toml, are the owner's


def __getattr__(name: str) -> Any:
    """`headstart.load`, which imports torch when it is asked for."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .predictor import load

    return load
