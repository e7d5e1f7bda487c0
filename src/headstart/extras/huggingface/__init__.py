"""Backbones and data sets of Hugging Face's Hub."""
