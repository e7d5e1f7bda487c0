"""Pictures: finding them, reading them, and handing them out in batches."""

from headstart.data.augment import Augment
from headstart.data.image_data import ImageData
from headstart.data.shard_data import ShardData
from headstart.data.sources import find_pictures
from headstart.data.split import Splitting
from headstart.data.table import PictureSet, Row, Sample, picture_set

__all__ = [
    "Augment",
    "ImageData",
    "PictureSet",
    "Row",
    "Sample",
    "ShardData",
    "Splitting",
    "find_pictures",
    "picture_set",
]
