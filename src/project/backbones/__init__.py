"""Pretrained networks without their classifiers."""
