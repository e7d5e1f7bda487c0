"""Transfer learning on images: a frozen pretrained backbone with a trainable head."""

__version__ = "0.1.0"  # of the engine; the distribution, and its name in pyproject.toml, are the owner's
