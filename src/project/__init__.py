"""The owner's package: what is trained, on what, and what is left behind."""
