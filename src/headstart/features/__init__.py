"""The feature cache: what the frozen backbone makes of the pictures, computed once and used by every epoch and run."""

from headstart.features.feature_data import FeatureData
from headstart.features.shard_features import ShardFeatures

__all__ = ["FeatureData", "ShardFeatures"]
