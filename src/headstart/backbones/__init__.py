"""Backbones: pretrained networks that turn pictures into features."""

from headstart.backbones.backbone import Backbone, Preprocessing
from headstart.backbones.bundled import efficientnet_lite
from headstart.backbones.from_huggingface import from_huggingface
from headstart.backbones.from_timm import from_timm
from headstart.backbones.from_torchvision import from_torchvision

__all__ = ["Backbone", "Preprocessing", "efficientnet_lite", "from_huggingface", "from_timm", "from_torchvision"]
