"""The example's images: ten shapes on busy backgrounds."""
