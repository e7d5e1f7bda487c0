"""Pictures: finding them, reading them, and handing them out in batches."""

from headstart.data.augment import Augment
from headstart.data.image_data import ImageData
from headstart.data.sources import PictureSet, Sample, find_pictures

__all__ = ["Augment", "ImageData", "PictureSet", "Sample", "find_pictures"]
